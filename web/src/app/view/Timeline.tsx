import { useComputed, useSignal } from "@preact/signals";
import { useCallback, useLayoutEffect, useRef } from "preact/hooks";
import type { Chat } from "../chat.ts";
import type { Conversation, Line as Spoken } from "../conversation.ts";
import { dayName, now } from "../time.ts";
import { CloseIcon, DownIcon } from "./icons.tsx";
import { DraftLine, Line, Notices } from "./Line.tsx";
import { Name } from "./people.tsx";
import { ReadBy } from "./Reactions.tsx";
import { arrange } from "./rows.ts";

/** How near to an end counts as being there, in pixels. */
const NEAR = 60;
/** How near to the top older messages are fetched, in pixels. */
const FETCH_NEAR = 300;

interface Props {
  chat: Chat;
  conversation: Conversation;
}

export function Timeline({ chat, conversation }: Props) {
  const { shown, mark, drafts, older, refusal, room, peer, thread } = conversation;
  const rows = useComputed(() => arrange(shown.value, mark.value));
  const active = useSignal<bigint | undefined>(undefined);
  const frame = useRef<HTMLDivElement>(null);
  const isBehind = useSignal(false);
  /** What was seen when the timeline was drawn last. */
  const view = useRef({ isAtEnd: true, height: 0, room: 0, oldest: conversation.oldest, thread: thread.value });

  useLayoutEffect(() => {
    const element = frame.current!;
    const { height, room, oldest } = view.current;
    // Where it was scrolled since counts, though the event that tells it may still be on its way.
    const wasAtEnd = height - room - element.scrollTop < NEAR;
    // Another thread, or none, begins at its end.
    const isAtEnd = wasAtEnd || view.current.thread !== thread.value;
    const isPrepended = oldest !== undefined && conversation.oldest !== undefined && conversation.oldest < oldest;
    if (isPrepended && !isAtEnd) element.scrollTop += element.scrollHeight - height;
    else if (isAtEnd) element.scrollTop = element.scrollHeight;
    const { scrollHeight, clientHeight } = element;
    view.current = {
      isAtEnd,
      height: scrollHeight,
      room: clientHeight,
      oldest: conversation.oldest,
      thread: thread.value,
    };
    // Where little is shown nothing scrolls, and so nothing tells that the end is in sight.
    if (isBehind.peek() && isAtEnd) isBehind.value = false;
  });
  useLayoutEffect(() => {
    const element = frame.current!;
    // A keyboard that appears, or a growing composer, must not cover the newest line.
    const observer = new ResizeObserver(() => {
      view.current.room = element.clientHeight;
      if (view.current.isAtEnd) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const toEnd = () => frame.current!.scrollTo({ top: frame.current!.scrollHeight });
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = frame.current!;
    view.current.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    isBehind.value = !view.current.isAtEnd;
    if (scrollTop < FETCH_NEAR && isBehind.value && older.value === "some" && thread.value === undefined)
      void chat.loadOlder(conversation);
  };
  const jump = useCallback((seq: bigint) => void chat.jump(conversation, seq), []);
  const activate = useCallback((line: Spoken | undefined) => void (active.value = line?.seq), []);
  const pins = new Set(conversation.view.pins);
  const answers = thread.value === undefined ? countAnswers(conversation) : new Map<bigint, number>();
  useLayoutEffect(() => {
    const seq = chat.target.value;
    const line = seq !== undefined && frame.current!.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
    if (!line) return;
    chat.target.value = undefined;
    view.current.isAtEnd = false;
    line.scrollIntoView({ block: "center" });
    line.classList.add("flash");
    line.focus({ preventScroll: true });
    line.addEventListener("animationend", () => line.classList.remove("flash"), { once: true });
  });
  return (
    <div class="timeline-frame">
      <ThreadHead chat={chat} conversation={conversation} />
      <Behind conversation={conversation} />
      <div
        class="timeline"
        ref={frame}
        onScroll={onScroll}
        onKeyDown={stepThroughLines}
        role="log"
        aria-label={`Messages in ${peer ?? room}`}
        aria-busy={older.value === "loading"}
        tabIndex={0}
      >
        <div class="lines">
          {refusal.value ? (
            <p class="refused" role="alert">
              {refusal.value}
            </p>
          ) : (
            thread.value === undefined && <Beginning chat={chat} conversation={conversation} />
          )}
          {rows.value.map((row) => {
            switch (row.kind) {
              case "day":
                return <Divider key={row.key} text={dayName(row.ts, now.value)} />;
              case "mark":
                return <Divider key={row.key} text="New" isNew />;
              case "notices":
                return <Notices key={row.key} notices={row.notices} />;
              case "line":
                return (
                  <Line
                    key={row.key}
                    chat={chat}
                    conversation={conversation}
                    line={row.line}
                    quoted={row.line.reply_to === undefined ? undefined : conversation.view.message(row.line.reply_to)}
                    answers={answers.get(row.line.seq) ?? 0}
                    isPinned={pins.has(row.line.seq)}
                    isFirst={row.isFirst}
                    isActive={active.value === row.line.seq}
                    onActivate={activate}
                    onJump={jump}
                  />
                );
            }
          })}
          {drafts.value.map((draft) => (
            <DraftLine
              key={draft.cid}
              draft={draft}
              user={chat.user.value}
              onRetry={() => chat.actions.send(conversation, draft)}
              onDrop={() => conversation.dropDraft(draft.cid)}
            />
          ))}
          <ReadBy chat={chat} conversation={conversation} />
        </div>
      </div>
      {isBehind.value && (
        <button class="to-end" onClick={toEnd}>
          <DownIcon /> Newest messages
        </button>
      )}
    </div>
  );
}

/** Counts the messages of each thread behind its first one. */
function countAnswers({ view }: Conversation): Map<bigint, number> {
  const counts = new Map<bigint, number>();
  for (const { thread, deleted } of view.messages())
    if (thread !== undefined && deleted === undefined) counts.set(thread, (counts.get(thread) ?? 0) + 1);
  return counts;
}

/** The arrows go from message to message, whose actions follow with Tab. */
function stepThroughLines(event: KeyboardEvent): void {
  const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
  const timeline = event.currentTarget as HTMLElement;
  if (step === 0 || (event.target as HTMLElement).closest("input, textarea")) return;
  const lines = [...timeline.querySelectorAll<HTMLElement>(".line:not(.draft)")];
  const at = lines.findIndex((line) => line.contains(document.activeElement));
  const next = at < 0 ? lines.at(-1) : lines[at + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function Divider({ text, isNew = false }: { text: string; isNew?: boolean }) {
  return (
    <div class={isNew ? "day new" : "day"}>
      <span>{text}</span>
    </div>
  );
}

function ThreadHead({ chat, conversation }: Props) {
  if (conversation.thread.value === undefined) return null;
  const count = conversation.shown.value.length;
  return (
    <div class="thread-head" role="status">
      <span>Thread · {count === 1 ? "1 message" : `${count} messages`}</span>
      <span class="space" />
      <button class="plain small" aria-label="Close the thread" onClick={() => chat.actions.closeThread(conversation)}>
        <CloseIcon />
      </button>
    </div>
  );
}

/** Says what is missing: what is still to come, and what cannot come any more. */
function Behind({ conversation }: { conversation: Conversation }) {
  const { behind, warning } = conversation;
  return (
    <div role="status">
      {behind.value > 0 && <div class="banner catching">Catching up: {behind.value} to go…</div>}
      {warning.value && (
        <div class="banner">
          <span>{warning.value}</span>
          <button onClick={() => (warning.value = "")}>Understood</button>
        </div>
      )}
    </div>
  );
}

/** What stands above the oldest line. */
function Beginning({ chat, conversation }: Props) {
  void conversation.version.value;
  const { older, peer, view } = conversation;
  if (older.value === "some")
    return (
      <button class="older" onClick={() => void chat.loadOlder(conversation)}>
        Earlier messages
      </button>
    );
  if (older.value !== "none") return <p class="older quiet">{older.value === "loading" ? "Loading…" : ""}</p>;
  return (
    <div class="beginning">
      <h2>
        {peer === undefined && <span class="hash">#</span>}
        <Name>{conversation.name.value}</Name>
      </h2>
      <p class="quiet">
        {peer !== undefined
          ? "Only the two of you read this conversation."
          : view.topic || "This is the beginning of the room."}
      </p>
    </div>
  );
}
