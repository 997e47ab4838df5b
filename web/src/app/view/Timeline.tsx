import { useComputed, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { dayName, now } from "../time.ts";
import { DownIcon } from "./icons.tsx";
import { DraftLine, Line, Notices } from "./Line.tsx";
import { Name } from "./people.tsx";
import { arrange, type Row } from "./rows.ts";

/** How near to an end counts as being there, in pixels. */
const NEAR = 60;
/** How near to the top older messages are fetched, in pixels. */
const FETCH_NEAR = 300;

interface Props {
  chat: Chat;
  conversation: Conversation;
}

export function Timeline({ chat, conversation }: Props) {
  const { entries, mark, drafts, older, refusal, room, peer } = conversation;
  const rows = useComputed(() => arrange(entries.value, mark.value));
  const frame = useRef<HTMLDivElement>(null);
  const isBehind = useSignal(false);
  const view = useRef({ isAtEnd: true, height: 0, oldest: conversation.oldest });

  useLayoutEffect(() => {
    const element = frame.current!;
    const { isAtEnd, height, oldest } = view.current;
    const isPrepended = oldest !== undefined && conversation.oldest !== undefined && conversation.oldest < oldest;
    if (isPrepended && !isAtEnd) element.scrollTop += element.scrollHeight - height;
    else if (isAtEnd) element.scrollTop = element.scrollHeight;
    view.current = { isAtEnd, height: element.scrollHeight, oldest: conversation.oldest };
  });
  useLayoutEffect(() => {
    const element = frame.current!;
    // A keyboard that appears, or a growing composer, must not cover the newest line.
    const observer = new ResizeObserver(() => view.current.isAtEnd && (element.scrollTop = element.scrollHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const toEnd = () => frame.current!.scrollTo({ top: frame.current!.scrollHeight });
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = frame.current!;
    view.current.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    isBehind.value = !view.current.isAtEnd;
    if (scrollTop < FETCH_NEAR && isBehind.value && older.value === "some") void chat.loadOlder(conversation);
  };
  return (
    <div class="timeline-frame">
      <div
        class="timeline"
        ref={frame}
        onScroll={onScroll}
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
            <Beginning chat={chat} conversation={conversation} />
          )}
          {rows.value.map((row) => (
            <RowView key={row.key} row={row} self={chat.user.value} />
          ))}
          {drafts.value.map((draft) => (
            <DraftLine
              key={draft.cid}
              draft={draft}
              user={chat.user.value}
              onRetry={() => chat.send(conversation, draft.text, draft.cid)}
              onDrop={() => conversation.dropDraft(draft.cid)}
            />
          ))}
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

/** What stands above the oldest line. */
function Beginning({ chat, conversation }: Props) {
  const { older, peer, room } = conversation;
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
        {peer !== undefined ? (
          <Name>{peer}</Name>
        ) : (
          <>
            <span class="hash">#</span>
            <Name>{room}</Name>
          </>
        )}
      </h2>
      <p class="quiet">
        {peer !== undefined ? "Only the two of you read this conversation." : "This is the beginning of the room."}
      </p>
    </div>
  );
}

function RowView({ row, self }: { row: Row; self: string }) {
  switch (row.kind) {
    case "day":
      return (
        <div class="day">
          <span>{dayName(row.ts, now.value)}</span>
        </div>
      );
    case "mark":
      return (
        <div class="day new">
          <span>New</span>
        </div>
      );
    case "notices":
      return <Notices notices={row.notices} />;
    case "line":
      return <Line line={row.line} isFirst={row.isFirst} isOwn={row.line.sender === self} />;
  }
}
