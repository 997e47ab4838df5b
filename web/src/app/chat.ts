/** Binds the SDK to what the page shows: one signed-in user, their rooms, and which one is open. */
import { batch, computed, signal, type ReadonlySignal } from "@preact/signals";
import {
  conversationOf,
  Parlour,
  peerOf,
  type Entry,
  type Events,
  type Member,
  type RoomSummary,
  type Seq,
  type State,
} from "../sdk/index.ts";
import { Actions } from "./actions.ts";
import { roomInAddress, showInAddress, socketAddress } from "./address.ts";
import { Conversation } from "./conversation.ts";
import { explain } from "./explain.ts";
import { Reader } from "./reader.ts";
import * as saved from "./saved.ts";

const PAGE = 50;
/** Fewer messages than this are joined by older ones when a room is entered. */
const FEW = 30;
/** If more entries than this were missed, the newest ones are shown and the others left for scrolling. */
const MOST_MISSED = 2_000;

export class Chat {
  readonly state = signal<State>({ name: "idle" });
  readonly user = signal("");
  readonly conversations = signal<ReadonlyMap<string, Conversation>>(new Map());
  readonly openRoom = signal("");
  /** Rooms of the server that are not in the list. */
  readonly openRooms = signal<readonly RoomSummary[]>([]);
  /** The message that the page is to bring into view. */
  readonly target = signal<Seq | undefined>(undefined);
  /** The last thing that went wrong, for a passing notice. */
  readonly trouble = signal("");
  readonly open: ReadonlySignal<Conversation | undefined> = computed(() =>
    this.conversations.value.get(this.openRoom.value),
  );
  readonly unread = computed(() =>
    [...this.conversations.value.values()].reduce((sum, { unread }) => sum + unread.value, 0),
  );
  /** Messages of at most this many bytes are taken. */
  messageBytes = 65_536;
  #wasOnline = false;
  #looking: Promise<string[]> | undefined;
  readonly actions: Actions;
  readonly #parlour: Parlour;
  readonly #reader: Reader;

  constructor(identity: saved.Identity, onRefused: (message: string) => void) {
    this.#parlour = new Parlour({
      url: socketAddress(),
      ...(identity.token ? { token: identity.token } : { user: identity.user }),
      storage: saved.cursorStorage(identity),
      reportDelivery: true,
    });
    this.actions = new Actions(this.#parlour, this);
    this.#reader = new Reader(this.#parlour, () => this.open.value);
    this.#on("state", (state) => this.#entered(state, onRefused));
    this.#listen();
    this.#parlour.connect();
  }

  connect(): void {
    this.#parlour.connect();
  }

  close(): void {
    this.#reader.close();
    this.#parlour.close();
  }

  /** Opens a room or conversation, entering it if necessary. */
  show(room: string): void {
    if (!room) return;
    const conversation = this.#enter(room);
    batch(() => {
      this.openRoom.value = room;
      conversation.mark.value = conversation.unread.value > 0 ? conversation.readSeq : undefined;
    });
    saved.rememberOpen(room);
    showInAddress(room, this.user.value);
    this.#reader.mark(conversation);
    void this.#refresh(conversation);
  }

  /** Opens the private conversation with a user. */
  showPrivate(user: string): void {
    if (user !== this.user.value) this.show(conversationOf(this.user.value, user));
  }

  leave({ room, peer }: Conversation): void {
    this.#drop(room);
    saved.forget(room);
    if (peer === undefined) this.#parlour.leave(room).catch(() => {});
  }

  typing({ room, peer }: Conversation, active: boolean): void {
    if (peer === undefined) this.#parlour.typing(room, active);
  }

  /** Loads a page of what is before the loaded messages. */
  async loadOlder(conversation: Conversation, limit = PAGE): Promise<void> {
    const { room, oldest, older } = conversation;
    if (older.value === "loading" || older.value === "none") return;
    older.value = "loading";
    try {
      const page = await this.#parlour.history({ room, limit, ...(oldest !== undefined && { before: oldest }) });
      batch(() => {
        conversation.readSeq ??= page.head;
        older.value = page.more ? "some" : "none";
        conversation.prepend(page.events);
      });
    } catch (error) {
      older.value = "some";
      this.trouble.value = explain(error);
    }
  }

  /** Brings a message of an open conversation into view. */
  async jump(conversation: Conversation, seq: Seq): Promise<void> {
    if (await this.actions.reach(conversation, seq)) this.target.value = seq;
    else this.trouble.value = "This message is no longer kept.";
  }

  /** Opens a room at a message. */
  async goTo(room: string, seq: Seq): Promise<void> {
    this.show(room);
    const conversation = this.conversations.value.get(room);
    // What has just been entered may not know yet where its history ends.
    if (conversation?.older.value === "unknown") await this.loadOlder(conversation);
    if (conversation) await this.jump(conversation, seq);
  }

  /** Names of people who can be meant in a conversation: those who are or were there, and who spoke. */
  peopleOf({ members, peer, view }: Conversation): string[] {
    const speakers = view.messages().map(({ sender }) => sender);
    const people = new Set([...(peer === undefined ? [] : [peer]), ...members.value.keys(), ...speakers]);
    people.delete(this.user.value);
    return [...people].sort((a, b) => a.localeCompare(b));
  }

  /** Looks up which rooms there are, and returns the names of the user's private conversations. */
  lookAround(): Promise<string[]> {
    // Many rooms may want it at once.
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<string[]> {
    const rooms = await this.#parlour.rooms().catch(() => []);
    batch(() => rooms.forEach((summary) => this.#countUnread(summary)));
    this.openRooms.value = rooms.filter(
      ({ room, with: peer }) => peer === undefined && !this.conversations.value.has(room),
    );
    return rooms.flatMap(({ room, with: peer }) => (peer === undefined ? [] : [room]));
  }

  /** What is known of a user, from any room. */
  memberOf(user: string): Member | undefined {
    const known = [...this.conversations.value.values()].flatMap(({ members }) => members.value.get(user) ?? []);
    return known.find(({ status }) => status !== "offline") ?? known[0];
  }

  #on<K extends keyof Events>(type: K, listener: (payload: Events[K]) => void): void {
    this.#parlour.on(type, (payload) => batch(() => listener(payload)));
  }

  #entered(state: State, onRefused: (message: string) => void): void {
    if (state.name === "stopped" && !this.#wasOnline) return onRefused(explain(state));
    this.state.value = state;
    if (state.name !== "online") return;
    this.messageBytes = state.welcome.limits.message_bytes;
    if (!this.#wasOnline) this.#begin(state.welcome.user);
    else if (this.open.value) void this.#refresh(this.open.value);
  }

  /** Enters all rooms of the last visit once the server has said who the user is. */
  #begin(user: string): void {
    this.#wasOnline = true;
    this.user.value = user;
    const rooms = saved.knownRooms().filter((room) => !room.startsWith("@") || peerOf(room, user) !== undefined);
    rooms.forEach((room) => this.#enter(room));
    const last = saved.lastRoom();
    this.show(roomInAddress(user) || (rooms.includes(last) ? last : "general"));
    void this.lookAround().then((conversations) => batch(() => conversations.forEach((room) => this.#enter(room))));
  }

  /** Counts what the server knows to be unread beyond what is loaded. */
  #countUnread({ room, unread }: RoomSummary): void {
    const conversation = this.conversations.value.get(room);
    if (!conversation || conversation === this.open.value) return;
    conversation.hidden = 0;
    conversation.recount();
    conversation.hidden = Math.max(0, unread - (conversation.readSeq === undefined ? 0 : conversation.unread.value));
    if (conversation.readSeq === undefined) conversation.unread.value = unread;
    else conversation.recount();
  }

  #enter(room: string): Conversation {
    const known = this.conversations.value.get(room);
    // What was closed to the user may be open now.
    if (known && !known.refusal.value) return known;
    const conversation = new Conversation(room, peerOf(room, this.user.value), this.user.value);
    this.conversations.value = new Map(this.conversations.value).set(room, conversation);
    saved.remember(room);
    if (conversation.peer !== undefined) return conversation;
    this.#parlour.join(room, { history: PAGE }).catch((error: unknown) => {
      conversation.refusal.value = explain(error);
      saved.forget(room);
    });
    return conversation;
  }

  #drop(room: string): void {
    const rest = new Map(this.conversations.value);
    rest.delete(room);
    this.conversations.value = rest;
    if (this.openRoom.value === room) this.show(rest.keys().next().value ?? "general");
  }

  /** Who goes on where they were sees what was before, too. */
  async #showEnough(conversation: Conversation): Promise<void> {
    const { older, view } = conversation;
    if (older.value === "some" && view.messages().length < FEW) await this.loadOlder(conversation);
  }

  /** Fetches what joining does not tell: who was here lately, what the room is about, and what was said. */
  async #refresh(conversation: Conversation): Promise<void> {
    const { room, peer, view } = conversation;
    if (peer !== undefined) {
      if (conversation.older.value === "unknown") await this.loadOlder(conversation);
      this.#reader.mark(conversation);
      const receipts = await this.#parlour.receipts(room, conversation.newest ?? 0n).catch(() => undefined);
      if (receipts) view.apply({ type: "receipts", payload: receipts });
    } else {
      void this.#showEnough(conversation);
      const [list, info] = await Promise.all([
        this.#parlour.members(room).catch(() => undefined),
        this.#parlour.info(room).catch(() => undefined),
      ]);
      if (list) conversation.setMembers(list.members, list.member_count);
      if (info) view.apply({ type: "info", payload: info });
    }
    conversation.refresh();
  }

  #listen(): void {
    this.#on("joined", (joined) => this.#joined(joined));
    this.#on("left", ({ room, code, message = "You are no longer in this room." }) => {
      const conversation = this.conversations.value.get(room);
      if (conversation)
        conversation.refusal.value = explain({ code: code ?? "left", message });
    });
    this.#on("entry", (entry) => this.#heard(entry));
    this.#on("behind", ({ room, behind }) => {
      const conversation = this.conversations.value.get(room);
      if (!conversation || behind > MOST_MISSED) return;
      conversation.behind.value = behind;
      conversation.refresh();
    });
    this.#on("reset", ({ room, reason }) => {
      const conversation = this.conversations.value.get(room);
      if (!conversation) return;
      conversation.forgetLines();
      conversation.warning.value = explain({ code: `reset_${reason}` });
      // Numbers of another lineage say nothing about what was read.
      if (reason !== "expired") conversation.readSeq = 0n;
    });
    this.#on("read", (notice) => this.#receipt("read", notice));
    this.#on("delivered", (notice) => this.#receipt("delivered", notice));
    this.#on("erased", (notice) => {
      const conversation = this.conversations.value.get(notice.room);
      conversation?.view.apply({ type: "erased", payload: notice });
      conversation?.refresh();
    });
    this.#on("member_joined", (notice) => this.#changed(notice, "joined"));
    this.#on("member_left", (notice) => this.#changed(notice, "left"));
    this.#on("presence", ({ room, ...member }) => this.conversations.value.get(room)?.setMember(member));
    this.#on("typing", ({ room, user, active }) => {
      if (user === this.user.value) return;
      const conversation = this.conversations.value.get(room);
      if (active) conversation?.setTyping(user);
      else conversation?.stopTyping(user);
    });
    this.#on("error", (error) => (this.trouble.value = explain(error)));
  }

  #joined(joined: Events["joined"]): void {
    const conversation = this.conversations.value.get(joined.room);
    if (!conversation) return;
    conversation.refusal.value = "";
    if ((joined.behind ?? 0) > MOST_MISSED) {
      conversation.forgetLines();
      return void this.#parlour.restart(joined.room).catch(() => {});
    }
    conversation.behind.value = joined.behind ?? 0;
    conversation.setMembers(joined.members, joined.member_count);
    conversation.readers.value = joined.member_count;
    conversation.view.apply({ type: "joined", payload: joined });
    const own = conversation.view.receipt(this.user.value)?.read;
    if (conversation.oldest === undefined) {
      conversation.readSeq ??= own ?? saved.readUpTo(joined.room, joined.epoch) ?? joined.head;
      conversation.hidden = 0;
      const missed = BigInt(joined.replayed + (joined.behind ?? 0));
      conversation.oldest = joined.head - missed + 1n;
      conversation.older.value = joined.head - missed <= joined.floor ? "none" : "some";
      if (conversation.readSeq < joined.head - missed) void this.lookAround();
      if (missed < FEW && conversation === this.open.value) void this.#showEnough(conversation);
    }
    this.#sawOwn(conversation, own);
    conversation.refresh();
  }

  #receipt(kind: "read" | "delivered", notice: Events["read"]): void {
    const conversation = this.conversations.value.get(notice.room);
    if (!conversation) return;
    conversation.view.apply({ type: kind, payload: notice });
    conversation.readers.value = notice.of;
    if (kind === "delivered") return;
    if (notice.user === this.user.value) this.#sawOwn(conversation, notice.seq);
    conversation.refresh();
  }

  /** The user has read on another device. */
  #sawOwn(conversation: Conversation, seq: Seq | undefined): void {
    if (seq === undefined || conversation.readSeq === undefined || seq <= conversation.readSeq) return;
    conversation.readSeq = seq;
    conversation.hidden = 0;
  }

  #heard(entry: Entry): void {
    const { room, seq } = entry.payload;
    const conversation = entry.type === "private" ? this.#enter(room) : this.conversations.value.get(room);
    if (!conversation) return;
    if (conversation.peer !== undefined) conversation.readSeq ??= seq - 1n;
    conversation.append(entry);
    const author = entry.type === "message" ? entry.payload.sender : entry.type === "private" && entry.payload.from;
    if (author) this.#reader.heard(conversation, author === this.user.value);
  }

  #changed({ room, user, member_count }: Events["member_joined"], change: "joined" | "left"): void {
    const conversation = this.conversations.value.get(room);
    if (!conversation) return;
    conversation.memberCount.value = member_count;
    if (user !== this.user.value) conversation[change](user);
  }
}
