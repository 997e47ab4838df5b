import type { Chat } from "../chat.ts";
import type { Conversation, Line } from "../conversation.ts";

/** Reactions with their counts; a click joins or takes back. */
export function Reactions({ chat, conversation, line }: { chat: Chat; conversation: Conversation; line: Line }) {
  if (line.reactions.length === 0) return null;
  return (
    <div class="reactions">
      {line.reactions.map(({ emoji, count, users }) => {
        const who = users.join(", ") + (count > users.length ? ` and ${count - users.length} more` : "");
        return (
          <button
            key={emoji}
            class="reaction"
            aria-pressed={users.includes(chat.user.value)}
            aria-label={`${emoji} ${count}: ${who}`}
            title={who}
            onClick={() => chat.actions.react(conversation, line, emoji)}
          >
            <span>{emoji}</span> {count}
          </button>
        );
      })}
    </div>
  );
}

/** Most readers who are named. */
const NAMED = 20;

/** How many have read the user's last message, and who. */
export function ReadBy({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  void conversation.version.value;
  const self = chat.user.value;
  const last = conversation.view.messages().at(-1);
  if (!last || last.sender !== self || last.deleted !== undefined) return null;
  const readers = conversation.view.readers(last.seq).filter((user) => user !== self);
  if (readers.length === 0) return null;
  const of = Math.max(readers.length, conversation.readers.value - 1);
  const more = readers.length > NAMED ? ` and ${readers.length - NAMED} more` : "";
  const who = readers.slice(0, NAMED).join(", ") + more;
  return (
    <p class="read-by quiet" tabIndex={0} title={who} aria-label={`Read by ${who}`}>
      {conversation.peer !== undefined ? "Read" : `Read by ${readers.length} of ${of}`}
      <span class="who" aria-hidden="true">
        {who}
      </span>
    </p>
  );
}
