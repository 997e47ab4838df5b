import type { Draft, Line as Spoken, Notice } from "../conversation.ts";
import { splitLinks } from "../links.ts";
import { clockTime, fullTime } from "../time.ts";
import { Avatar, Name } from "./people.tsx";

export function Line({ line, isFirst, isOwn }: { line: Spoken; isFirst: boolean; isOwn: boolean }) {
  const { sender, text, ts, seq } = line;
  const time = (
    <time dateTime={new Date(ts).toISOString()} title={fullTime(ts)}>
      {clockTime(ts)}
    </time>
  );
  return (
    <article class={`line ${isFirst ? "first" : ""} ${isOwn ? "own" : ""}`} data-seq={String(seq)}>
      <div class="gutter">{isFirst ? <Avatar user={sender} /> : time}</div>
      <div class="said">
        {isFirst ? (
          <div class="byline">
            <Name>{sender}</Name>
            {time}
          </div>
        ) : (
          <span class="unseen">{sender}: </span>
        )}
        <Text text={text} />
      </div>
    </article>
  );
}

/** An own message that is not stored yet. */
export function DraftLine({
  draft,
  user,
  onRetry,
  onDrop,
}: {
  draft: Draft;
  user: string;
  onRetry: () => void;
  onDrop: () => void;
}) {
  const { text, failure } = draft;
  return (
    <article class={`line draft own first ${failure ? "failed" : "pending"}`}>
      <div class="gutter">
        <Avatar user={user} />
      </div>
      <div class="said">
        <div class="byline">
          <Name>{user}</Name>
          {!failure && <span class="quiet">sending…</span>}
        </div>
        <Text text={text} />
        {failure && (
          <div class="failure" role="alert">
            <span>Not sent. {failure}</span>
            <button class="link" onClick={onRetry}>
              Try again
            </button>
            <button class="link" onClick={onDrop}>
              Discard
            </button>
          </div>
        )}
      </div>
    </article>
  );
}

/** Text nodes and links, so that no message is ever markup. */
function Text({ text }: { text: string }) {
  return (
    <p class="text" dir="auto">
      {splitLinks(text).map(({ text, href }) =>
        href ? (
          <a href={href} title={href} target="_blank" rel="noopener noreferrer">
            {text}
          </a>
        ) : (
          text
        ),
      )}
    </p>
  );
}

/** Most people that a row of notices names. */
const NAMED = 4;

export function Notices({ notices }: { notices: readonly Notice[] }) {
  const said = (["joined", "left"] as const).map(
    (change) => [change, notices.filter((notice) => notice.change === change)] as const,
  );
  const told = said.filter(([, of]) => of.length > 0);
  return (
    <p class="notice quiet">
      {told.map(([change, of], index) => (
        <span key={change}>
          {index > 0 && " · "}
          {of.slice(0, NAMED).map(({ user }, place) => (
            <span key={user}>
              {place > 0 && ", "}
              <Name>{user}</Name>
            </span>
          ))}
          {of.length > NAMED && ` and ${of.length - NAMED} more`} {change}
        </span>
      ))}
    </p>
  );
}
