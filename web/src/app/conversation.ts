/** One room or private conversation as the page shows it. Knows no connection. */
import { computed, signal } from "@preact/signals";
import { Conversation as View, type Entry, type Member, type Seq, type Spoken } from "../sdk/index.ts";
import { span, toldOf } from "./sanctions.ts";

export type Line = Spoken;

/** Somebody came, went or changed the room. It stands where it was seen. */
export interface Notice {
  user: string;
  /** What the user did, behind their name. */
  change: string;
  ts: number;
}

export type Shown = { kind: "line"; line: Line } | ({ kind: "notice"; key: number; after: Seq } & Notice);

/** An own message on its way. */
export interface Draft {
  cid: string;
  text: string;
  ts: number;
  replyTo?: Seq | undefined;
  mentions: string[];
  /** Why it was not sent; absent while it is on its way. */
  failure?: string;
}

/** What the next message is about. */
export type Intent = { kind: "say" } | { kind: "reply"; to: Seq } | { kind: "edit"; target: Seq };

/** Messages kept; older ones are fetched again when they are scrolled to. */
const KEPT = 1_500;
/** Messages left after trimming, so that it happens rarely. */
const LEFT = 1_000;
/** Notices kept. */
const NOTICES = 200;
/** How often the page follows while much comes at once, in milliseconds. */
const CATCHING_MS = 120;
/** A typing notice lives 6 s on the server, whose word may be lost with a connection. */
const TYPING_MS = 7_000;
/** How long the server itself waits for a lost connection before it says that somebody left. */
const GRACE_MS = 10_000;

export class Conversation {
  readonly room: string;
  /** The other user of a private conversation. */
  readonly peer: string | undefined;
  readonly view: View;
  /** Counts changes of the view, for what is computed from it. */
  readonly version = signal(0);
  readonly drafts = signal<readonly Draft[]>([]);
  readonly members = signal<ReadonlyMap<string, Member>>(new Map());
  readonly memberCount = signal(0);
  readonly typing = signal<readonly string[]>([]);
  readonly unread = signal(0);
  /** Whether one of the unread messages means the user. */
  readonly isMeant = signal(false);
  /** Whether there are older messages to load. */
  readonly older = signal<"unknown" | "some" | "none" | "loading">("unknown");
  /** How many entries are still to come before live ones. */
  readonly behind = signal(0);
  /** Why the room could not be entered. */
  readonly refusal = signal("");
  /** What a restored or shortened history means for what is seen. */
  readonly warning = signal("");
  /** The last message that was read before the room was opened, where the page draws a mark. */
  readonly mark = signal<Seq | undefined>(undefined);
  /** The first message of the thread that alone is shown. */
  readonly thread = signal<Seq | undefined>(undefined);
  readonly intent = signal<Intent>({ kind: "say" });
  /** Of how many members receipts tell, the user among them. */
  readonly readers = signal(0);
  readonly present = computed(() => [...this.members.value.values()].filter(({ status }) => status !== "offline"));
  readonly shown = computed(() => (this.version.value, this.#arrange()));
  readonly name = computed(() => (this.version.value, this.peer ?? (this.view.title || this.room)));
  /** Up to where the user has read; unknown until the room is entered. */
  readSeq: Seq | undefined;
  /** The first entry from which on everything is loaded. */
  oldest: Seq | undefined;
  /** Unread messages that are not loaded. */
  hidden = 0;
  /** What is written and not sent. */
  written = "";
  readonly #self: string;
  #notices: ({ key: number; after: Seq } & Notice)[] = [];
  #noticeKeys = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #doubts = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #typingTimers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(room: string, peer: string | undefined, self: string) {
    this.room = room;
    this.peer = peer;
    this.#self = self;
    this.view = new View(room);
  }

  get newest(): Seq | undefined {
    return this.view.messages().at(-1)?.seq;
  }

  /** Takes the next entry of the room. */
  append(entry: Entry): void {
    const { seq } = entry.payload;
    if (this.oldest === undefined || seq < this.oldest) this.oldest = seq;
    this.view.apply(entry);
    if (entry.type === "room_changed" || entry.type === "role_changed") this.#tellChange(entry);
    if (entry.type === "sanctioned") this.#note(entry.payload.sender, toldOf(entry.payload), entry.payload.ts);
    if ("sender" in entry.payload) this.stopTyping(entry.payload.sender);
    const { cid } = entry.payload;
    if (cid) this.dropDraft(cid);
    this.touch();
  }

  /** Takes a page of older entries, which ends where the loaded ones begin. */
  prepend(events: readonly Entry[]): void {
    this.view.take({ events: [...events] });
    const first = events[0]?.payload.seq;
    if (first !== undefined && (this.oldest === undefined || first < this.oldest)) this.oldest = first;
    this.refresh();
  }

  /** Follows the view, at once or soon. */
  touch(): void {
    if (this.behind.peek() === 0) return this.refresh();
    this.#timer ??= setTimeout(() => this.refresh(), CATCHING_MS);
  }

  refresh(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#trim();
    this.version.value += 1;
    this.recount();
  }

  /** Counts what others said after the read cursor. */
  recount(): void {
    const { readSeq } = this;
    if (readSeq === undefined) return;
    let count = this.hidden;
    let isMeant = false;
    const messages = this.view.messages();
    for (let at = messages.length - 1; at >= 0 && messages[at]!.seq > readSeq; at -= 1) {
      const { sender, deleted, mentions } = messages[at]!;
      if (sender === this.#self || deleted !== undefined) continue;
      count += 1;
      isMeant ||= mentions.includes(this.#self);
    }
    this.unread.value = count;
    this.isMeant.value = isMeant;
  }

  forgetLines(): void {
    this.view.forget();
    this.oldest = undefined;
    this.#notices = [];
    this.older.value = "some";
    this.mark.value = undefined;
    this.thread.value = undefined;
    this.refresh();
  }

  setDraft(draft: Draft): void {
    this.drafts.value = [...this.drafts.value.filter(({ cid }) => cid !== draft.cid), draft];
  }

  dropDraft(cid: string): void {
    if (this.drafts.value.some((draft) => draft.cid === cid)) {
      this.drafts.value = this.drafts.value.filter((draft) => draft.cid !== cid);
    }
  }

  /**
   * Takes who is here. Somebody who was here and is not in the list may only be slower to come back
   * to a server that has restarted: they have gone if they do not come within the grace.
   */
  setMembers(listed: readonly Member[], count: number): void {
    const members = new Map(this.members.value);
    const here = new Set(listed.filter(({ status }) => status !== "offline").map(({ user }) => user));
    const doubted = this.present.value.filter(({ user }) => !here.has(user));
    for (const member of listed) members.set(member.user, member);
    for (const member of doubted) {
      members.set(member.user, member);
      this.#doubts.set(
        member.user,
        this.#doubts.get(member.user) ?? setTimeout(() => this.left(member.user), GRACE_MS),
      );
    }
    for (const user of here) this.#trust(user);
    this.members.value = members;
    this.memberCount.value = count;
  }

  setMember(member: Member): void {
    this.#trust(member.user);
    this.members.value = new Map(this.members.value).set(member.user, member);
  }

  joined(user: string): void {
    // Somebody doubted is still shown as here, so their return is no news.
    const isNews = !this.present.value.some((member) => member.user === user);
    this.setMember({ user, status: "online", last_active_ms: Date.now() });
    if (isNews) this.#note(user, "joined");
  }

  left(user: string): void {
    this.setMember({ user, status: "offline", last_active_ms: Date.now() });
    this.stopTyping(user);
    this.#note(user, "left");
  }

  setTyping(user: string): void {
    clearTimeout(this.#typingTimers.get(user));
    this.#typingTimers.set(
      user,
      setTimeout(() => this.stopTyping(user), TYPING_MS),
    );
    if (!this.typing.value.includes(user)) this.typing.value = [...this.typing.value, user];
  }

  stopTyping(user: string): void {
    clearTimeout(this.#typingTimers.get(user));
    this.#typingTimers.delete(user);
    if (this.typing.value.includes(user)) this.typing.value = this.typing.value.filter((other) => other !== user);
  }

  #trust(user: string): void {
    clearTimeout(this.#doubts.get(user));
    this.#doubts.delete(user);
  }

  #trim(): void {
    const messages = this.view.messages();
    if (messages.length <= KEPT) return;
    this.oldest = messages[messages.length - LEFT]!.seq;
    this.view.forgetBefore(this.oldest);
    this.older.value = "some";
  }

  #note(user: string, change: string, ts = Date.now()): void {
    const after = this.newest ?? 0n;
    this.#notices = [...this.#notices, { key: (this.#noticeKeys += 1), after, user, change, ts }].slice(-NOTICES);
    this.version.value += 1;
  }

  #tellChange(entry: Extract<Entry, { type: "room_changed" | "role_changed" }>): void {
    const { sender, ts } = entry.payload;
    if (entry.type === "role_changed") {
      const { user, role } = entry.payload;
      return this.#note(sender, role ? `made ${user} ${role}` : `took the role of ${user}`, ts);
    }
    const { title, topic, slow_ms } = entry.payload;
    if (slow_ms) this.#note(sender, `slowed the room down to one message in ${span(slow_ms)}`, ts);
    if (slow_ms === 0) this.#note(sender, "ended the slow mode", ts);
    if (title) this.#note(sender, `named the room “${title}”`, ts);
    if (topic) this.#note(sender, `set the topic to “${topic}”`, ts);
    if (entry.payload.private !== undefined)
      this.#note(sender, entry.payload.private ? "made the room private" : "opened the room to all", ts);
  }

  /** Puts messages and notices in their order; a thread stands alone. */
  #arrange(): Shown[] {
    const root = this.thread.value;
    if (root !== undefined) return this.view.thread(root).map((line) => ({ kind: "line", line }));
    const shown: Shown[] = [];
    let next = 0;
    for (const line of this.view.messages()) {
      // Older messages that were looked up alone have a hole behind them.
      if (this.oldest !== undefined && line.seq < this.oldest) continue;
      for (; next < this.#notices.length && this.#notices[next]!.after < line.seq; next += 1)
        shown.push({ kind: "notice", ...this.#notices[next]! });
      shown.push({ kind: "line", line });
    }
    return [...shown, ...this.#notices.slice(next).map((notice) => ({ kind: "notice", ...notice }) as const)];
  }
}
