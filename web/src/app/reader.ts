/** Knows what the user has seen: moves read cursors, and tells others when the user looks away. */
import { effect, signal } from "@preact/signals";
import type { Parlour } from "../sdk/index.ts";
import type { Conversation } from "./conversation.ts";
import { rememberRead } from "./saved.ts";

/** How long the page may be hidden before others see `away`, in milliseconds. */
const AWAY_MS = 1_500;

const isVisible = signal(document.visibilityState === "visible");
document.addEventListener("visibilitychange", () => (isVisible.value = document.visibilityState === "visible"));

export class Reader {
  readonly #parlour: Parlour;
  readonly #open: () => Conversation | undefined;
  readonly #stops: (() => void)[] = [];

  constructor(parlour: Parlour, open: () => Conversation | undefined) {
    this.#parlour = parlour;
    this.#open = open;
    this.#stops.push(this.#watchVisibility(), this.#watchNetwork());
  }

  close(): void {
    this.#stops.forEach((stop) => stop());
  }

  /** Takes a new message; it is read if the user looks at it. */
  heard(conversation: Conversation, isOwn: boolean): void {
    if (isOwn || (isVisible.peek() && this.#open() === conversation)) this.mark(conversation);
  }

  /** Takes all of a conversation as read. */
  mark(conversation: Conversation): void {
    const { newest, room, readSeq } = conversation;
    conversation.hidden = 0;
    if (newest !== undefined && (readSeq === undefined || newest > readSeq)) {
      conversation.readSeq = newest;
      const position = this.#parlour.position(room);
      if (position) rememberRead(room, { ...position, seq: newest });
      this.#parlour.read(room, newest);
    }
    conversation.recount();
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
