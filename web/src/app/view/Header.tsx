import type { Chat } from "../chat.ts";
import { ago, now } from "../time.ts";
import { MenuIcon, PeopleIcon, SearchIcon } from "./icons.tsx";
import { Dot, Name } from "./people.tsx";
import type { Drawer } from "./Room.tsx";

interface Props {
  chat: Chat;
  onDrawer: (which: Drawer) => void;
  onSwitch: () => void;
}

export function Header({ chat, onDrawer, onSwitch }: Props) {
  const conversation = chat.open.value;
  const others = [...chat.conversations.value.values()].some(
    (other) => other !== conversation && other.unread.value > 0,
  );
  return (
    <header class="header">
      <button
        class="plain only-narrow"
        aria-label={others ? "Rooms, with unread messages" : "Rooms"}
        onClick={() => onDrawer("rooms")}
      >
        <MenuIcon />
        {others && <span class="badge-dot" />}
      </button>
      <h1 class="title">
        {conversation?.peer !== undefined ? (
          <Name>{conversation.peer}</Name>
        ) : (
          conversation && (
            <>
              <span class="hash" aria-hidden="true">
                #
              </span>
              <Name>{conversation.room}</Name>
            </>
          )
        )}
      </h1>
      {conversation?.peer !== undefined && <PeerStatus chat={chat} peer={conversation.peer} />}
      <span class="space" />
      <button
        class="plain"
        aria-label="Go to a room or person"
        title="Go to a room or person (Ctrl+K)"
        onClick={onSwitch}
      >
        <SearchIcon />
      </button>
      {conversation && conversation.peer === undefined && (
        <button
          class="plain members-button"
          aria-label={`Members: ${conversation.memberCount.value}`}
          onClick={() => onDrawer("members")}
        >
          <PeopleIcon />
          <span>{conversation.memberCount.value}</span>
        </button>
      )}
    </header>
  );
}

function PeerStatus({ chat, peer }: { chat: Chat; peer: string }) {
  const member = chat.memberOf(peer);
  if (!member) return null;
  return (
    <span class="peer-status quiet">
      <Dot member={member} />
      {member.status === "offline" ? `last active ${ago(member.last_active_ms, now.value)}` : member.status}
    </span>
  );
}
