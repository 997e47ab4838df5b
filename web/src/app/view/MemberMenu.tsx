import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { holds, mayModerate, OFFERS, type Offer } from "../sanctions.ts";
import { now } from "../time.ts";
import { DotsIcon } from "./icons.tsx";

interface Props {
  chat: Chat;
  conversation: Conversation;
  user: string;
}

/** What moderators and owners may do to a member; nothing for all others. */
export function MemberMenu({ chat, conversation, user }: Props) {
  const isOpen = useSignal(false);
  const menu = useRef<HTMLDivElement>(null);
  void conversation.version.value;
  useEffect(() => {
    if (!isOpen.value) return;
    const leave = (event: Event) => {
      const isInside = menu.current?.contains(event.target as Node);
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !isInside) isOpen.value = false;
    };
    for (const type of ["pointerdown", "keydown"]) document.addEventListener(type, leave);
    return () => {
      for (const type of ["pointerdown", "keydown"]) document.removeEventListener(type, leave);
    };
  }, [isOpen.value]);
  const { roles } = conversation.view;
  if (user === chat.user.value || !mayModerate(roles.get(chat.user.value), roles.get(user))) return null;
  return (
    <div class="member-menu" ref={menu}>
      <button
        class="plain small"
        aria-label={`Moderate ${user}`}
        aria-haspopup="menu"
        aria-expanded={isOpen.value}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        <DotsIcon />
      </button>
      {isOpen.value && (
        <Choices chat={chat} conversation={conversation} user={user} onClose={() => (isOpen.value = false)} />
      )}
    </div>
  );
}

function Choices({ chat, conversation, user, onClose }: Props & { onClose: () => void }) {
  const asked = useSignal<Offer | undefined>(undefined);
  const { actions } = chat;
  const { roles, sanctions } = conversation.view;
  const role = roles.get(user);
  const sanction = sanctions.get(user);
  const done = (act: () => void) => () => {
    onClose();
    act();
  };
  // What puts somebody out is asked about twice.
  const choose = (offer: Offer) => () => {
    if (offer.kind !== "mute" && asked.value !== offer) asked.value = offer;
    else done(() => actions.sanction(conversation, user, offer))();
  };
  return (
    <div class="menu" role="menu" aria-label={`Moderate ${user}`}>
      {sanction && holds(sanction, now.value) && (
        <button role="menuitem" onClick={done(() => actions.pardon(conversation, user))}>
          {sanction.kind === "ban" ? "Lift the ban" : "Let speak again"}
        </button>
      )}
      {OFFERS.map((offer) => (
        <button key={offer.label} role="menuitem" class={asked.value === offer ? "sure" : ""} onClick={choose(offer)}>
          {asked.value === offer ? `${offer.label}: sure?` : offer.label}
        </button>
      ))}
      {roles.get(chat.user.value) === "owner" && role !== "owner" && (
        <button
          role="menuitem"
          onClick={done(() => actions.setRole(conversation, user, role === "moderator" ? undefined : "moderator"))}
        >
          {role === "moderator" ? "Take the role of moderator" : "Make moderator"}
        </button>
      )}
    </div>
  );
}
