/** Knows what the user has seen: counts unread messages, moves cursors, and tells when they look away. */
import { effect, signal } from "@preact/signals";
import type { Parlour } from "../sdk/index.ts";
import type { Conversation, Line } from "./conversation.ts";
import { rememberRead } from "./saved.ts";

/** How long the page may be hidden before others see `away`, in milliseconds. */
const AWAY_MS = 1_500;
/** How often a cursor is sent, in milliseconds. */
const CURSOR_MS = 1_000;

const isVisible = signal(document.visibilityState === "visible");
document.addEventListener("visibilitychange", () => (isVisible.value = document.visibilityState === "visible"));

export class Reader {
  readonly #parlour: Parlour;
  readonly #open: () => Conversation | undefined;
  readonly #stops: (() => void)[] = [];
  readonly #cursors = new Set<Conversation>();
  #cursorTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(parlour: Parlour, open: () => Conversation | undefined) {
    this.#parlour = parlour;
    this.#open = open;
    this.#stops.push(this.#watchVisibility(), this.#watchNetwork());
  }

  close(): void {
    clearTimeout(this.#cursorTimer);
    this.#stops.forEach((stop) => stop());
  }

  /** Takes a new line; it is read if the user looks at it. */
  heard(conversation: Conversation, { seq }: Line, isOwn: boolean): void {
    const isSeen = isOwn || (isVisible.peek() && this.#open() === conversation);
    if (isSeen) this.mark(conversation);
    else if (conversation.readSeq !== undefined && seq > conversation.readSeq) conversation.unread.value += 1;
  }

  /** Takes all of a conversation as read. */
  mark(conversation: Conversation): void {
    const { newest, room, readSeq } = conversation;
    conversation.unread.value = 0;
    if (newest === undefined || (readSeq !== undefined && newest < readSeq)) return;
    const isNews = conversation.readSeq !== newest;
    conversation.readSeq = newest;
    const position = this.#parlour.position(room);
    if (position) rememberRead(room, { ...position, seq: newest });
    // Only private conversations are kept by the server until they are read.
    if (conversation.peer !== undefined && isNews) this.#cursors.add(conversation);
    if (this.#cursors.size > 0) this.#cursorTimer ??= setTimeout(() => this.#sendCursors(), CURSOR_MS);
  }

  #sendCursors(): void {
    this.#cursorTimer = undefined;
    for (const { room, readSeq } of this.#cursors) {
      if (readSeq) this.#parlour.read(room, readSeq).catch(() => {});
    }
    this.#cursors.clear();
  }

  #watchVisibility(): () => void {
    let isAway = false;
    const say = (away: boolean) => {
      if (away !== isAway) this.#parlour.presence(away ? "away" : "online").catch(() => {});
      isAway = away;
    };
    return effect(() => {
      if (isVisible.value) {
        say(false);
        const conversation = this.#open();
        if (conversation && conversation.unread.peek() > 0) {
          conversation.mark.value = conversation.readSeq;
          this.mark(conversation);
        }
        return undefined;
      }
      const timer = setTimeout(() => say(true), AWAY_MS);
      return () => clearTimeout(timer);
    });
  }

  /** A network that is back, or a user who is, need not wait for the timer. */
  #watchNetwork(): () => void {
    const retry = () => {
      if (this.#parlour.state.name === "waiting" && isVisible.peek()) this.#parlour.connect();
    };
    window.addEventListener("online", retry);
    return () => window.removeEventListener("online", retry);
  }
}
