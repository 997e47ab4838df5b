import { useSignal } from "@preact/signals";
import type { Chat } from "../chat.ts";
import type { Conversation, Line } from "../conversation.ts";
import { EditIcon, FlagIcon, PinIcon, ReplyIcon, SmileIcon, ThreadIcon, TrashIcon } from "./icons.tsx";

/** The reactions that are offered; any other may be typed by other clients. */
const OFFERED = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];

interface Props {
  chat: Chat;
  conversation: Conversation;
  line: Line;
  isPinned: boolean;
}

/** What one can do with a message. */
export function Handles({ chat, conversation, line, isPinned }: Props) {
  const asking = useSignal<"nothing" | "reaction" | "deletion" | "report">("nothing");
  void conversation.version.value;
  const { actions } = chat;
  const isOwn = line.sender === chat.user.value;
  const role = conversation.view.roles.get(chat.user.value);
  const isModerator = role === "owner" || role === "moderator";
  const mayPin = conversation.peer === undefined && (isModerator || conversation.view.roles.size === 0);
  const done = (act: () => void) => () => {
    asking.value = "nothing";
    act();
  };
  if (asking.value === "reaction")
    return (
      <div class="handles" role="toolbar" aria-label="Reactions">
        {OFFERED.map((emoji) => (
          <button
            class="plain small emoji"
            aria-label={`React with ${emoji}`}
            onClick={done(() => actions.react(conversation, line, emoji))}
          >
            {emoji}
          </button>
        ))}
      </div>
    );
  if (asking.value === "deletion")
    return (
      <div class="handles" role="toolbar" aria-label="Delete this message?">
        <span class="question">Delete this message?</span>
        <button class="danger" onClick={done(() => actions.delete(conversation, line))}>
          Delete
        </button>
        <button class="link" onClick={done(() => {})}>
          Keep
        </button>
      </div>
    );
  if (asking.value === "report")
    return (
      <div class="handles" role="toolbar" aria-label="Report this message?">
        <span class="question">Tell the moderators of this message?</span>
        <button class="danger" onClick={done(() => actions.report(conversation, line))}>
          Report
        </button>
        <button class="link" onClick={done(() => {})}>
          No
        </button>
      </div>
    );
  const thread = line.thread ?? line.seq;
  const write = (intent: Conversation["intent"]["value"]) => () => {
    conversation.intent.value = intent;
    document.querySelector<HTMLElement>(".composer textarea")?.focus();
  };
  return (
    <div class="handles" role="toolbar" aria-label="Message">
      <Handle name="React" onUse={() => (asking.value = "reaction")}>
        <SmileIcon />
      </Handle>
      <Handle name="Reply" onUse={write({ kind: "reply", to: line.seq })}>
        <ReplyIcon />
      </Handle>
      {conversation.thread.value === undefined && (
        <Handle name="Thread" onUse={() => void actions.openThread(conversation, thread)}>
          <ThreadIcon />
        </Handle>
      )}
      {mayPin && (
        <Handle name={isPinned ? "Unpin" : "Pin"} onUse={() => actions.pin(conversation, line.seq)}>
          <PinIcon />
        </Handle>
      )}
      {isOwn && (
        <Handle name="Edit" onUse={write({ kind: "edit", target: line.seq })}>
          <EditIcon />
        </Handle>
      )}
      {!isOwn && conversation.peer === undefined && conversation.view.roles.size > 0 && (
        <Handle name="Report to the moderators" onUse={() => (asking.value = "report")}>
          <FlagIcon />
        </Handle>
      )}
      {(isOwn || isModerator) && (
        <Handle name="Delete" onUse={() => (asking.value = "deletion")}>
          <TrashIcon />
        </Handle>
      )}
    </div>
  );
}

function Handle({ name, onUse, children }: { name: string; onUse: () => void; children: preact.ComponentChildren }) {
  return (
    <button class="plain small" aria-label={name} title={name} onClick={onUse}>
      {children}
    </button>
  );
}
