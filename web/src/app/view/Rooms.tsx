import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { CloseIcon, ExitIcon, Mark, PlusIcon } from "./icons.tsx";
import { Avatar, Dot, Name } from "./people.tsx";

interface Props {
  chat: Chat;
  onSwitch: () => void;
  onSignOut: () => void;
  onClose: () => void;
}

export function Rooms({ chat, onSwitch, onSignOut, onClose }: Props) {
  const all = [...chat.conversations.value.values()];
  const rooms = all.filter(({ peer }) => peer === undefined).sort((a, b) => a.room.localeCompare(b.room));
  const people = all.filter(({ peer }) => peer !== undefined);
  return (
    <aside class="side rooms" aria-label="Rooms">
      <div class="side-head brand">
        <Mark />
        <strong>Parlour</strong>
        <span class="space" />
        <button class="plain only-narrow" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </div>
      <nav class="side-body">
        <div class="side-title">
          <h2>Rooms</h2>
          <button
            class="plain small"
            aria-label="Open another room"
            title="Open another room (Ctrl+K)"
            onClick={onSwitch}
          >
            <PlusIcon />
          </button>
        </div>
        <ul>
          {rooms.map((room) => (
            <RoomRow key={room.room} chat={chat} conversation={room} />
          ))}
        </ul>
        {people.length > 0 && (
          <div class="side-title">
            <h2>Private</h2>
          </div>
        )}
        <ul>
          {people.map((room) => (
            <RoomRow key={room.room} chat={chat} conversation={room} />
          ))}
        </ul>
      </nav>
      <div class="side-foot">
        <Avatar user={chat.user.value} />
        <Name>{chat.user.value}</Name>
        <span class="space" />
        <button class="plain" aria-label="Sign out" title="Sign out" onClick={onSignOut}>
          <ExitIcon />
        </button>
      </div>
    </aside>
  );
}

function RoomRow({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  const { room, peer } = conversation;
  const unread = conversation.unread.value;
  const isOpen = chat.openRoom.value === room;
  return (
    <li class={`row ${isOpen ? "open" : ""} ${unread > 0 ? "unread" : ""}`}>
      <button class="row-main" aria-current={isOpen ? "page" : undefined} onClick={() => chat.show(room)}>
        {peer === undefined ? (
          <span class="hash" aria-hidden="true">
            #
          </span>
        ) : (
          <Dot member={chat.memberOf(peer)} />
        )}
        <Name>{conversation.name.value}</Name>
        {unread > 0 && (
          <span
            class={`badge ${conversation.isMeant.value ? "meant" : ""}`}
            aria-label={`${unread} unread${conversation.isMeant.value ? ", one means you" : ""}`}
          >
            {conversation.isMeant.value && "@"}
            {unread > 99 ? "99+" : unread}
          </span>
        )}
      </button>
      <button
        class="plain small row-leave"
        aria-label={peer === undefined ? `Leave ${room}` : `Close ${peer}`}
        onClick={() => chat.leave(conversation)}
      >
        <CloseIcon />
      </button>
    </li>
  );
}
