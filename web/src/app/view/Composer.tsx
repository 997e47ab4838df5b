import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { SendIcon } from "./icons.tsx";
import { Name } from "./people.tsx";

/** What the envelope around a text may take, in bytes. */
const ENVELOPE_BYTES = 1_024;

export function Composer({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  const text = useSignal(conversation.written);
  const field = useRef<HTMLTextAreaElement>(null);
  const isTooLong = bytesOf(text.value) + ENVELOPE_BYTES > chat.messageBytes;
  const canSend = text.value.trim() !== "" && !isTooLong;
  // A phone would cover half of the page with its keyboard.
  useEffect(() => void (matchMedia("(pointer: fine)").matches && field.current?.focus()), []);
  useLayoutEffect(() => {
    const { style, scrollHeight } = ((field.current!.style.height = "auto"), field.current!);
    style.height = `${scrollHeight}px`;
  });
  const write = (written: string) => {
    text.value = conversation.written = written;
    chat.typing(conversation, written.trim() !== "");
  };
  const send = () => {
    if (!canSend) return;
    chat.send(conversation, text.value.trim().replaceAll("\0", ""));
    text.value = conversation.written = "";
    field.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    // While an input method composes, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const target = conversation.peer ?? `#${conversation.room}`;
  if (conversation.refusal.value) return null;
  return (
    <div class="composer-frame">
      <Typing conversation={conversation} />
      <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          value={text.value}
          aria-label={`Message to ${target}`}
          placeholder={`Message ${target}`}
          enterkeyhint="send"
          aria-invalid={isTooLong}
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={onKey}
        />
        <button class="send" aria-label="Send" title="Send (Enter)" disabled={!canSend}>
          <SendIcon />
        </button>
      </form>
      {isTooLong && (
        <p class="refusal" role="alert">
          The message is too long.
        </p>
      )}
    </div>
  );
}

/** Most names that are told; more are told as a number. */
const NAMED = 3;

function Typing({ conversation }: { conversation: Conversation }) {
  const users = conversation.typing.value;
  const named = users.length > NAMED ? [] : users;
  return (
    <div class="typing" aria-live="polite">
      {users.length > 0 && (
        <span class="typing-dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
      )}
      {named.map((user, index) => (
        <span key={user}>
          {index > 0 && (index === named.length - 1 ? " and " : ", ")}
          <Name>{user}</Name>
        </span>
      ))}
      {users.length > NAMED && `${users.length} people`}
      {users.length > 0 && (users.length === 1 ? " is typing" : " are typing")}
    </div>
  );
}

/** Bytes of a text inside JSON; only long texts are worth counting. */
function bytesOf(text: string): number {
  return text.length < 1_000 ? text.length : new TextEncoder().encode(JSON.stringify(text)).length;
}
