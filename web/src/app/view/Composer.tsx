import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { nameAt } from "../mentions.ts";
import { span } from "../sanctions.ts";
import { CloseIcon, SendIcon } from "./icons.tsx";
import { Name } from "./people.tsx";
import { Typing } from "./Typing.tsx";

/** What the envelope around a text may take, in bytes. */
const ENVELOPE_BYTES = 1_024;
/** Most names that are offered. */
const OFFERED = 6;

export function Composer({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  const { intent } = conversation;
  const text = useSignal(conversation.written);
  const cursor = useSignal(0);
  const chosen = useSignal(0);
  const field = useRef<HTMLTextAreaElement>(null);
  const isTooLong = bytesOf(text.value) + ENVELOPE_BYTES > chat.messageBytes;
  const canSend = text.value.trim() !== "" && !isTooLong;
  const names = useComputed(() => completions(chat, conversation, text.value, cursor.value));
  // A phone would cover half of the page with its keyboard.
  useEffect(() => void (matchMedia("(pointer: fine)").matches && field.current?.focus()), []);
  useEffect(() => {
    const meant = intent.value;
    if (meant.kind === "edit") write(conversation.view.message(meant.target)?.text ?? "");
  }, [intent.value]);
  useLayoutEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  });
  const write = (written: string) => {
    text.value = conversation.written = written;
    chat.typing(conversation, written.trim() !== "" && intent.value.kind !== "edit");
  };
  const send = () => {
    if (!canSend) return;
    chat.actions.write(conversation, text.value.trim().replaceAll("\0", ""), chat.peopleOf(conversation));
    text.value = conversation.written = "";
    field.current?.focus();
  };
  const cancel = () => {
    if (intent.value.kind === "edit") write("");
    intent.value = { kind: "say" };
    field.current?.focus();
  };
  const complete = (name: string | undefined) => {
    const place = nameAt(text.value, cursor.value);
    if (!place || name === undefined) return;
    const before = `${text.value.slice(0, place.start)}@${name} `;
    write(before + text.value.slice(cursor.value));
    cursor.value = before.length;
    queueMicrotask(() => field.current?.setSelectionRange(before.length, before.length));
    field.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    // While an input method composes, keys belong to it.
    if (event.isComposing) return;
    const offered = names.value;
    if (offered.length > 0 && ["ArrowDown", "ArrowUp", "Enter", "Tab", "Escape"].includes(event.key)) {
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") cursor.value = 0;
      else if (event.key.startsWith("Arrow"))
        chosen.value = (chosen.value + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
      else complete(offered[chosen.value % offered.length]);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && text.value === "") {
      const last = conversation.view
        .messages()
        .findLast(({ sender, deleted }) => sender === chat.user.value && !deleted);
      if (!last) return;
      event.preventDefault();
      intent.value = { kind: "edit", target: last.seq };
    } else if (event.key === "Escape" && intent.value.kind !== "say") {
      event.stopPropagation();
      cancel();
    }
  };
  const target = conversation.peer ?? `#${conversation.name.value}`;
  if (conversation.refusal.value) return null;
  return (
    <div class="composer-frame">
      <Typing conversation={conversation} />
      <Intention conversation={conversation} onCancel={cancel} />
      {names.value.length > 0 && (
        <ul class="names" id="names" role="listbox" aria-label="People">
          {names.value.map((name, index) => (
            <li
              key={name}
              id={`name-${index}`}
              role="option"
              aria-selected={index === chosen.value % names.value.length}
              // Before the field loses the focus.
              onPointerDown={(event) => (event.preventDefault(), complete(name))}
            >
              <Name>{name}</Name>
            </li>
          ))}
        </ul>
      )}
      <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          value={text.value}
          aria-label={intent.value.kind === "edit" ? "New text" : `Message to ${target}`}
          placeholder={`Message ${target}`}
          enterkeyhint="send"
          aria-invalid={isTooLong}
          {...(names.value.length > 0 && {
            "aria-controls": "names",
            "aria-activedescendant": `name-${chosen.value % names.value.length}`,
          })}
          onInput={(event) => {
            write(event.currentTarget.value);
            cursor.value = event.currentTarget.selectionStart;
            chosen.value = 0;
          }}
          onClick={(event) => (cursor.value = event.currentTarget.selectionStart)}
          onBlur={() => (cursor.value = 0)}
          onKeyDown={onKey}
        />
        <button
          class="send"
          aria-label={intent.value.kind === "edit" ? "Save" : "Send"}
          title={intent.value.kind === "edit" ? "Save (Enter)" : "Send (Enter)"}
          disabled={!canSend}
        >
          <SendIcon />
        </button>
      </form>
      <Pace chat={chat} conversation={conversation} />
      {isTooLong && (
        <p class="refusal" role="alert">
          The message is too long.
        </p>
      )}
    </div>
  );
}

/** Says how often one may speak, where that is limited. */
function Pace({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  void conversation.version.value;
  const { slowMs, roles } = conversation.view;
  const role = roles.get(chat.user.value);
  if (slowMs === 0 || role === "owner" || role === "moderator") return null;
  return <p class="quiet pace">Slow mode: one message in {span(slowMs)}.</p>;
}

/** Says what the next message is about, where it is not simply said. */
function Intention({ conversation, onCancel }: { conversation: Conversation; onCancel: () => void }) {
  const meant = conversation.intent.value;
  if (meant.kind === "say") return null;
  const about = conversation.view.message(meant.kind === "edit" ? meant.target : meant.to);
  return (
    <div class="intention" role="status">
      <span class="excerpt">
        {meant.kind === "edit" ? "Editing your message" : "Replying to "}
        {meant.kind === "reply" && about && <Name>{about.sender}</Name>}
        {meant.kind === "reply" && about && `: ${about.text.slice(0, 100)}`}
      </span>
      <button class="plain small" aria-label="Cancel" title="Cancel (Escape)" onClick={onCancel}>
        <CloseIcon />
      </button>
    </div>
  );
}

/** Lists the people whose names begin with what stands behind the `@` before the cursor. */
function completions(chat: Chat, conversation: Conversation, text: string, cursor: number): string[] {
  const place = cursor > 0 ? nameAt(text, cursor) : undefined;
  if (!place) return [];
  const letters = place.letters.toLocaleLowerCase();
  const people = chat.peopleOf(conversation).filter((name) => name.toLocaleLowerCase().startsWith(letters));
  // A name that is complete needs no completion.
  return people.some((name) => place.letters.startsWith(`${name} `)) ? [] : people.slice(0, OFFERED);
}

/** Bytes of a text inside JSON; only long texts are worth counting. */
function bytesOf(text: string): number {
  return text.length < 1_000 ? text.length : new TextEncoder().encode(JSON.stringify(text)).length;
}
