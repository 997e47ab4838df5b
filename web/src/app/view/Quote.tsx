import { useEffect } from "preact/hooks";
import type { Chat } from "../chat.ts";
import type { Conversation, Line } from "../conversation.ts";
import { Name } from "./people.tsx";

/** Most characters of a quoted message. */
const LONGEST = 140;

interface Props {
  chat: Chat;
  conversation: Conversation;
  seq: bigint;
  /** The message, if it is known. */
  quoted: Line | undefined;
  onJump: (seq: bigint) => void;
}

/** The message that another one is about; a click goes there. */
export function Quote({ chat, conversation, seq, quoted, onJump }: Props) {
  useEffect(() => chat.actions.lookUp(conversation, seq), [seq]);
  return (
    <button class="quote" onClick={() => onJump(seq)}>
      {quoted ? (
        <>
          <Name>{quoted.sender}</Name>
          <span class="excerpt" dir="auto">
            {quoted.text.slice(0, LONGEST) || "This message was deleted."}
          </span>
        </>
      ) : (
        <span class="excerpt">An earlier message</span>
      )}
    </button>
  );
}
