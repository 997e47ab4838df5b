/** One room or private conversation as the page shows it. Knows no connection. */
import { computed, signal } from "@preact/signals";
import type { Member, Message, Seq } from "../sdk/index.ts";

export type Line = Pick<Message, "seq" | "sender" | "text" | "ts">;

/** Somebody came or went. Not stored, so it stands where it was seen. */
export interface Notice {
  user: string;
  change: "joined" | "left";
  ts: number;
}

export type Entry = ({ kind: "line" } & Line) | ({ kind: "notice"; key: number } & Notice);

/** An own message on its way. */
export interface Draft {
  cid: string;
  text: string;
  ts: number;
  /** Why it was not sent; absent while it is on its way. */
  failure?: string;
}

/** Lines kept; older ones are fetched again when they are scrolled to. */
const KEPT = 1_500;
/** Lines left after trimming, so that it happens rarely. */
const LEFT = 1_000;
/** A typing notice lives 6 s on the server, whose word may be lost with a connection. */
const TYPING_MS = 7_000;
/** How long the server itself waits for a lost connection before it says that somebody left. */
const GRACE_MS = 10_000;

export class Conversation {
  readonly room: string;
  /** The other user of a private conversation. */
  readonly peer: string | undefined;
  readonly entries = signal<readonly Entry[]>([]);
  readonly drafts = signal<readonly Draft[]>([]);
  readonly members = signal<ReadonlyMap<string, Member>>(new Map());
  readonly memberCount = signal(0);
  readonly typing = signal<readonly string[]>([]);
  readonly unread = signal(0);
  /** Whether there are older messages to load. */
  readonly older = signal<"unknown" | "some" | "none" | "loading">("unknown");
  /** Why the room could not be entered. */
  readonly refusal = signal("");
  /** The last line that was read before the room was opened, where the page draws a mark. */
  readonly mark = signal<Seq | undefined>(undefined);
  readonly present = computed(() => [...this.members.value.values()].filter(({ status }) => status !== "offline"));
  /** Up to where the user has read; unknown until the room is entered. */
  readSeq: Seq | undefined;
  /** What is written and not sent. */
  written = "";
  #notices = 0;
  readonly #doubts = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #typingTimers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(room: string, peer: string | undefined) {
    this.room = room;
    this.peer = peer;
  }

  get oldest(): Seq | undefined {
    return this.entries.value.find((entry) => entry.kind === "line")?.seq;
  }

  get newest(): Seq | undefined {
    return this.entries.value.findLast((entry) => entry.kind === "line")?.seq;
  }

  append(line: Line, cid?: string): void {
    const entries = [...this.entries.value, { kind: "line", ...line } as const];
    const isLong = entries.length > KEPT;
    this.entries.value = isLong ? entries.slice(-LEFT) : entries;
    if (isLong) this.older.value = "some";
    if (cid) this.dropDraft(cid);
    this.stopTyping(line.sender);
  }

  prepend(lines: readonly Line[]): void {
    const { oldest } = this;
    const older = lines.filter(({ seq }) => oldest === undefined || seq < oldest);
    this.entries.value = [...older.map((line) => ({ kind: "line", ...line }) as const), ...this.entries.value];
  }

  #note(user: string, change: Notice["change"]): void {
    const notice = { kind: "notice", key: (this.#notices += 1), user, change, ts: Date.now() } as const;
    this.entries.value = [...this.entries.value, notice];
  }

  forgetLines(): void {
    this.entries.value = [];
    this.older.value = "some";
    this.mark.value = undefined;
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

  #trust(user: string): void {
    clearTimeout(this.#doubts.get(user));
    this.#doubts.delete(user);
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
}
