/**
 * One room as it is now, folded from its entries: pages of history, replays and live ones, in any
 * overlap. Applying something twice changes nothing. Knows no connection.
 *
 * @example
 * const view = new Conversation("general");
 * parlour.on("entry", (entry) => view.apply(entry));
 * parlour.on("joined", (joined) => view.apply({ type: "joined", payload: joined }));
 * view.take(await parlour.history({ room: "general" }));
 * for (const { sender, text } of view.messages()) console.log(`${sender}: ${text}`);
 */
import * as wire from "./wire.ts";
import { isEntry, type Role, type Seq, type Tally } from "./wire.ts";

/** A message as it is now. Replaced as a whole when it changes. */
export interface Spoken extends wire.Header {
  readonly text: string;
  readonly reply_to?: Seq;
  readonly thread?: Seq;
  readonly mentions: readonly string[];
  readonly edited?: Seq;
  /** The message was erased; its number stays. */
  readonly deleted?: Seq;
  readonly reactions: readonly Tally[];
}

/** What a conversation takes. */
export type Applicable =
  | wire.Entry
  | wire.Named<Pick<wire.Notices, "read" | "delivered" | "erased">>
  | { type: "joined"; payload: Pick<wire.Joined, "room" | "receipts"> }
  | { type: "info"; payload: wire.RoomInfo }
  | { type: "receipts"; payload: Pick<wire.ReceiptList, "room" | "receipts"> };

type Change = Extract<wire.Entry, { type: "edited" | "deleted" | "reacted" }>;

/** A value that only a later entry replaces. */
interface Stamped<T> {
  value: T;
  seq: Seq;
}

/** Changes that are remembered, to be applied again to messages that a page brings. */
const CHANGES = 2_000;
/** Users who are listed with a reaction; the count is always exact. */
const LISTED = 20;

export class Conversation {
  readonly room: string;
  readonly #messages = new Map<Seq, Spoken>();
  #sorted: readonly Spoken[] | undefined;
  readonly #changes = new Map<Seq, Change>();
  readonly #settings = new Map<keyof wire.Settings, Stamped<string | boolean | number>>();
  readonly #roles = new Map<string, Stamped<Role | undefined>>();
  readonly #sanctions = new Map<string, Stamped<wire.Sanction | undefined>>();
  readonly #pins = new Map<Seq, Stamped<boolean>>();
  readonly #receipts = new Map<string, { read: Seq; delivered: Seq }>();
  /** The newest entry that was applied. */
  #newest: Seq = 0n;

  constructor(room: string) {
    this.room = room;
  }

  /** Messages in their order. The same array until something changes. */
  messages(): readonly Spoken[] {
    this.#sorted ??= [...this.#messages.values()].sort((a, b) => (a.seq < b.seq ? -1 : 1));
    return this.#sorted;
  }

  message(seq: Seq): Spoken | undefined {
    return this.#messages.get(seq);
  }

  /** The first message of a thread and those that belong to it. */
  thread(root: Seq): readonly Spoken[] {
    return this.messages().filter(({ seq, thread }) => seq === root || thread === root);
  }

  get title(): string {
    return (this.#settings.get("title")?.value as string) ?? "";
  }

  get topic(): string {
    return (this.#settings.get("topic")?.value as string) ?? "";
  }

  get isPrivate(): boolean {
    return (this.#settings.get("private")?.value as boolean) ?? false;
  }

  /** How long a user waits between two messages, in milliseconds; 0: not at all. */
  get slowMs(): number {
    return (this.#settings.get("slow_ms")?.value as number) ?? 0;
  }

  /** Mutes and bans that were not taken back; whether one still holds, its end says. */
  get sanctions(): ReadonlyMap<string, wire.Sanction> {
    return new Map([...this.#sanctions].flatMap(([user, { value }]) => (value ? [[user, value] as const] : [])));
  }

  get roles(): ReadonlyMap<string, Role> {
    return new Map([...this.#roles].flatMap(([user, { value }]) => (value ? [[user, value] as const] : [])));
  }

  /** Numbers of pinned messages, in the order of their pinning. */
  get pins(): readonly Seq[] {
    const pinned = [...this.#pins].filter(([seq, { value }]) => value && !this.#messages.get(seq)?.deleted);
    return pinned.sort(([, a], [, b]) => (a.seq < b.seq ? -1 : 1)).map(([seq]) => seq);
  }

  /** Returns who has read an entry. */
  readers(seq: Seq): string[] {
    return [...this.#receipts].flatMap(([user, { read }]) => (read >= seq ? [user] : []));
  }

  receipt(user: string): { read: Seq; delivered: Seq } | undefined {
    return this.#receipts.get(user);
  }

  /** Applies something that the server has told. What concerns other rooms is ignored. */
  apply(told: Applicable): void {
    if (told.payload.room !== this.room) return;
    if (isEntry(told) && told.payload.seq > this.#newest) this.#newest = told.payload.seq;
    switch (told.type) {
      case "message":
        return this.#speak(told.payload, false);
      case "private":
        return this.#speak(asMessage(told.payload), false);
      case "edited":
      case "deleted":
      case "reacted":
        return this.#remember(told);
      case "pinned":
        return this.#stamp(this.#pins, told.payload.target, told.payload.active, told.payload.seq);
      case "room_changed":
        return this.#configure(told.payload, told.payload.seq);
      case "role_changed":
        return this.#stamp(this.#roles, told.payload.user, told.payload.role, told.payload.seq);
      case "sanctioned":
        return this.#sanction(told.payload);
      case "read":
      case "delivered":
        return this.#advance(told.payload.user, told.type, told.payload.seq);
      case "joined":
      case "receipts":
        for (const { user, read, delivered } of told.payload.receipts ?? []) {
          this.#advance(user, "delivered", delivered);
          this.#advance(user, "read", read);
        }
        return;
      case "info":
        return this.#inform(told.payload);
      case "erased":
        return this.#erase(told.payload.user);
    }
  }

  /** Takes a page of history, whose messages are as they were when it was read. */
  take({ events }: Pick<wire.HistoryPage, "events">): void {
    const here = new Set(events.map(({ payload }) => payload.seq));
    for (const entry of events) {
      if (entry.type === "message") this.#speak(entry.payload, true);
      else if (entry.type === "private") this.#speak(asMessage(entry.payload), true);
      // The messages of the page show their changes already.
      else if (!isChange(entry) || !here.has(entry.payload.target)) this.apply(entry);
    }
  }

  /** Forgets messages before one, to save memory. */
  forgetBefore(seq: Seq): void {
    for (const { seq: known } of this.messages()) if (known < seq) this.#messages.delete(known);
    this.#sorted = undefined;
  }

  /** Forgets everything but who has read how far: the copy of the room cannot be continued. */
  forget(): void {
    for (const known of [this.#messages, this.#changes, this.#settings]) known.clear();
    for (const known of [this.#roles, this.#sanctions, this.#pins]) known.clear();
    this.#sorted = undefined;
    this.#newest = 0n;
  }

  #put(message: Spoken): void {
    this.#messages.set(message.seq, message);
    this.#sorted = undefined;
  }

  /** @param isCounted whether the message comes with its reactions, as in pages */
  #speak(told: wire.Message, isCounted: boolean): void {
    const known = this.#messages.get(told.seq);
    const isNewer = !known || (told.edited ?? 0n) >= (known.edited ?? 0n);
    const { text, mentions = [], edited } = isNewer ? told : known;
    const deleted = told.deleted ?? known?.deleted;
    const reactions = isCounted || !known ? (told.reactions ?? []) : known.reactions;
    this.#put({
      ...told,
      text: deleted ? "" : text,
      mentions: deleted ? [] : mentions,
      reactions: deleted ? [] : reactions,
      ...(edited !== undefined && { edited }),
      ...(deleted !== undefined && { deleted }),
    });
    // A page may be older than what was told since: its last word is the last one in the log.
    for (const change of this.#changes.values()) if (change.payload.target === told.seq) this.#change(change);
  }

  #remember(change: Change): void {
    const { seq, target } = change.payload;
    // A page may bring a change that was overtaken by what came later.
    if (seq < this.#newest && !this.#changes.has(seq)) return;
    this.#changes.set(seq, change);
    if (this.#changes.size > CHANGES) this.#changes.delete(this.#changes.keys().next().value!);
    if (change.type === "deleted" && this.#pins.has(target)) this.#stamp(this.#pins, target, false, seq);
    if (seq === this.#newest) this.#change(change);
  }

  #change(change: Change): void {
    const known = this.#messages.get(change.payload.target);
    if (!known || known.deleted !== undefined) return;
    switch (change.type) {
      case "edited": {
        const { seq, text, mentions = [] } = change.payload;
        if (text !== undefined && seq > (known.edited ?? 0n)) this.#put({ ...known, text, mentions, edited: seq });
        return;
      }
      case "deleted":
        return this.#put({ ...known, text: "", mentions: [], reactions: [], deleted: change.payload.seq });
      case "reacted":
        if (change.payload.emoji) this.#put({ ...known, reactions: tallied(known.reactions, change.payload) });
    }
  }

  #stamp<K, T>(known: Map<K, Stamped<T>>, key: K, value: T, seq: Seq): void {
    if (seq >= (known.get(key)?.seq ?? 0n)) known.set(key, { value, seq });
  }

  #configure(settings: wire.Settings, seq: Seq): void {
    for (const key of ["title", "topic", "private", "slow_ms"] as const) {
      if (settings[key] !== undefined) this.#stamp(this.#settings, key, settings[key], seq);
    }
  }

  #sanction({ user, kind, until_ms, reason, seq }: wire.Sanctioned): void {
    // Whoever was put out may be back already.
    if (kind === "kick") return;
    const sanction = { user, kind, ...(until_ms !== undefined && { until_ms }), ...(reason && { reason }) };
    this.#stamp(this.#sanctions, user, kind === "none" ? undefined : sanction, seq);
  }

  /** Takes the state of a room as a whole; it is not older than what was told before it. */
  #inform(info: wire.RoomInfo): void {
    this.#configure({ title: "", topic: "", private: false, slow_ms: 0, ...info }, this.#newest);
    const roles = new Map(info.roles.map(({ user, role }) => [user, role]));
    for (const user of new Set([...roles.keys(), ...this.#roles.keys()]))
      this.#stamp(this.#roles, user, roles.get(user), this.#newest);
    const sanctions = new Map(info.sanctions?.map((sanction) => [sanction.user, sanction]));
    for (const user of new Set([...sanctions.keys(), ...this.#sanctions.keys()]))
      this.#stamp(this.#sanctions, user, sanctions.get(user), this.#newest);
    const pins = new Set(info.pins);
    for (const seq of this.#pins.keys()) if (!pins.has(seq)) this.#pins.delete(seq);
    // A pin keeps its place if it is known already.
    for (const seq of pins) if (!this.#pins.get(seq)?.value) this.#stamp(this.#pins, seq, true, this.#newest);
  }

  #advance(user: string, kind: "read" | "delivered", seq: Seq): void {
    const { read, delivered } = this.#receipts.get(user) ?? { read: 0n, delivered: 0n };
    const furthest = (known: Seq) => (seq > known ? seq : known);
    // What was read has arrived.
    this.#receipts.set(user, { read: kind === "read" ? furthest(read) : read, delivered: furthest(delivered) });
  }

  #erase(user: string): void {
    for (const message of this.#messages.values()) {
      if (message.sender === user)
        this.#put({ ...message, text: "", mentions: [], reactions: [], deleted: message.seq });
      else if (message.reactions.some(({ users }) => users.includes(user)))
        this.#put({ ...message, reactions: message.reactions.flatMap((tally) => without(tally, user)) });
    }
    this.#receipts.delete(user);
    this.#roles.delete(user);
    this.#sanctions.delete(user);
  }
}

const isChange = (entry: wire.Entry): entry is Change =>
  entry.type === "edited" || entry.type === "deleted" || entry.type === "reacted";

function asMessage({ from, to: _, ...rest }: wire.PrivateMessage): wire.Message {
  return { ...rest, sender: from };
}

/** Counts a reaction; `count` is the server's, and users are listed once. */
function tallied(reactions: readonly Tally[], { emoji, active, count, sender }: wire.Reacted): readonly Tally[] {
  const known = reactions.find((tally) => tally.emoji === emoji);
  const others = (known?.users ?? []).filter((user) => user !== sender);
  const users = active && others.length < LISTED ? [...others, sender] : others;
  const tally = { emoji, count, users };
  if (known) return reactions.flatMap((other) => (other !== known ? other : count > 0 ? tally : []));
  return count > 0 ? [...reactions, tally] : reactions;
}

function without({ emoji, count, users }: Tally, user: string): Tally[] {
  if (!users.includes(user)) return [{ emoji, count, users }];
  return count > 1 ? [{ emoji, count: count - 1, users: users.filter((other) => other !== user) }] : [];
}
