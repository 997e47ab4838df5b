import type { Chat } from "../chat.ts";
import type { Conversation, Draft, Line as Spoken, Notice } from "../conversation.ts";
import { clockTime, fullTime } from "../time.ts";
import { Handles } from "./Handles.tsx";
import { Avatar, Name } from "./people.tsx";
import { Quote } from "./Quote.tsx";
import { Reactions } from "./Reactions.tsx";
import { Text } from "./Text.tsx";

/** All that a line shows stands here: lines whose properties are the same are not drawn again. */
interface Props {
  chat: Chat;
  conversation: Conversation;
  line: Spoken;
  /** The message that it answers, if it does and that one is known. */
  quoted: Spoken | undefined;
  /** How many messages are in the thread that begins with it. */
  answers: number;
  isPinned: boolean;
  isFirst: boolean;
  /** Whether what can be done with the message is shown. */
  isActive: boolean;
  onActivate: (line: Spoken | undefined) => void;
  onJump: (seq: bigint) => void;
}

export function Line(props: Props) {
  const { chat, conversation, line, quoted, answers, isPinned, isFirst, isActive, onActivate, onJump } = props;
  const { sender, ts, seq, mentions } = line;
  const self = chat.user.value;
  const isGone = line.deleted !== undefined || line.text === "";
  const time = (
    <time dateTime={new Date(ts).toISOString()} title={fullTime(ts)}>
      {clockTime(ts)}
    </time>
  );
  const classes = ["line", isFirst && "first", sender === self && "own", mentions.includes(self) && "meant"];
  return (
    <article
      class={classes.filter(Boolean).join(" ")}
      data-seq={String(seq)}
      tabIndex={-1}
      onPointerEnter={(event) => event.pointerType === "mouse" && onActivate(line)}
      onPointerLeave={(event) => {
        const isUsed = event.currentTarget.contains(document.activeElement);
        if (event.pointerType === "mouse" && !isUsed) onActivate(undefined);
      }}
      onFocusCapture={() => onActivate(line)}
      onClick={() => onActivate(line)}
    >
      <div class="gutter">{isFirst ? <Avatar user={sender} /> : time}</div>
      <div class="said">
        {line.reply_to !== undefined && (
          <Quote chat={chat} conversation={conversation} seq={line.reply_to} quoted={quoted} onJump={onJump} />
        )}
        {isFirst ? (
          <div class="byline">
            <Name>{sender}</Name>
            {time}
            {isPinned && <span class="quiet">pinned</span>}
          </div>
        ) : (
          <span class="unseen">{sender}: </span>
        )}
        {isGone ? (
          <p class="gone quiet">This message was deleted.</p>
        ) : (
          <Text text={line.text} mentions={mentions} self={self} />
        )}
        {line.edited !== undefined && !isGone && <span class="edited quiet">edited</span>}
        <Reactions chat={chat} conversation={conversation} line={line} />
        {answers > 0 && (
          <button class="link thread-link" onClick={() => void chat.actions.openThread(conversation, seq)}>
            {answers === 1 ? "1 reply" : `${answers} replies`}
          </button>
        )}
      </div>
      {isActive && !isGone && (
        <Handles key={String(seq)} chat={chat} conversation={conversation} line={line} isPinned={isPinned} />
      )}
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
  const { text, failure, mentions } = draft;
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
        <Text text={text} mentions={mentions} />
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

/** Most people that a row of notices names. */
const NAMED = 4;

export function Notices({ notices }: { notices: readonly Notice[] }) {
  const changes = [...new Set(notices.map(({ change }) => change))];
  // Who comes stands before who goes.
  changes.sort((a, b) => Number(a === "left") - Number(b === "left"));
  return (
    <p class="notice quiet">
      {changes.map((change, index) => {
        const of = notices.filter((notice) => notice.change === change);
        return (
          <span key={change}>
            {index > 0 && " · "}
            {of.slice(0, NAMED).map(({ user }, place) => (
              <span key={user}>
                {place > 0 && ", "}
                <Name>{user}</Name>
              </span>
            ))}
            {of.length > NAMED && ` and ${of.length - NAMED} more`} <bdi>{change}</bdi>
          </span>
        );
      })}
    </p>
  );
}
