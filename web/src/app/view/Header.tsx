import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { ago, now } from "../time.ts";
import { GearIcon, GoIcon, MenuIcon, PeopleIcon, PinIcon, SearchIcon } from "./icons.tsx";
import { Dot, Name } from "./people.tsx";
import type { Drawer } from "./Room.tsx";

interface Props {
  chat: Chat;
  onDrawer: (which: Drawer) => void;
  onSwitch: () => void;
  onSearch: () => void;
  onDetails: () => void;
}

export function Header({ chat, onDrawer, onSwitch, onSearch, onDetails }: Props) {
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
        {conversation && conversation.peer === undefined && (
          <span class="hash" aria-hidden="true">
            #
          </span>
        )}
        {conversation && <Name>{conversation.name.value}</Name>}
      </h1>
      {conversation?.peer !== undefined && <PeerStatus chat={chat} peer={conversation.peer} />}
      {conversation && conversation.peer === undefined && <Topic conversation={conversation} />}
      <span class="space" />
      {conversation && <PinsButton conversation={conversation} onDetails={onDetails} />}
      <button class="plain" aria-label="Search messages" title="Search messages (Ctrl+Shift+F)" onClick={onSearch}>
        <SearchIcon />
      </button>
      {conversation && conversation.peer === undefined && (
        <button class="plain" aria-label="About this room" title="About this room" onClick={onDetails}>
          <GearIcon />
        </button>
      )}
      <button
        class="plain only-wide"
        aria-label="Go to a room or person"
        title="Go to a room or person (Ctrl+K)"
        onClick={onSwitch}
      >
        <GoIcon />
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

function Topic({ conversation }: { conversation: Conversation }) {
  void conversation.version.value;
  const { topic, isPrivate } = conversation.view;
  return (
    <span class="topic quiet" title={topic}>
      {isPrivate && "private · "}
      <bdi>{topic}</bdi>
    </span>
  );
}

function PinsButton({ conversation, onDetails }: { conversation: Conversation; onDetails: () => void }) {
  void conversation.version.value;
  const count = conversation.view.pins.length;
  if (count === 0) return null;
  return (
    <button class="plain" aria-label={`Pinned messages: ${count}`} title="Pinned messages" onClick={onDetails}>
      <PinIcon />
      <span>{count}</span>
    </button>
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
