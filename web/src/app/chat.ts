/** Binds the SDK to what the page shows: one signed-in user, their rooms, and which one is open. */
import { batch, computed, signal, type ReadonlySignal } from "@preact/signals";
import {
  conversationOf,
  Parlour,
  peerOf,
  platform,
  type Events,
  type Member,
  type RoomSummary,
  type State,
} from "../sdk/index.ts";
import { roomInAddress, showInAddress, socketAddress } from "./address.ts";
import { Conversation } from "./conversation.ts";
import { explain } from "./explain.ts";
import { Reader } from "./reader.ts";
import * as saved from "./saved.ts";

const PAGE = 50;

export class Chat {
  readonly state = signal<State>({ name: "idle" });
  readonly user = signal("");
  readonly conversations = signal<ReadonlyMap<string, Conversation>>(new Map());
  readonly openRoom = signal("");
  /** Rooms of the server that are not in the list. */
  readonly openRooms = signal<readonly RoomSummary[]>([]);
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
  readonly #parlour: Parlour;
  readonly #reader: Reader;

  constructor(identity: saved.Identity, onRefused: (message: string) => void) {
    this.#parlour = new Parlour({
      url: socketAddress(),
      ...(identity.token ? { token: identity.token } : { user: identity.user }),
    });
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

  /** Sends a message, or a failed one again: the same cid is stored once. */
  send(conversation: Conversation, text: string, cid = platform.unique()): void {
    const { room, peer } = conversation;
    conversation.setDraft({ cid, text, ts: Date.now() });
    const sent = peer === undefined ? this.#parlour.publish(room, text, cid) : this.#parlour.private(peer, text, cid);
    sent.catch((error: unknown) => conversation.setDraft({ cid, text, ts: Date.now(), failure: explain(error) }));
  }

  typing({ room, peer }: Conversation, active: boolean): void {
    if (peer === undefined) this.#parlour.typing(room, active);
  }

  async loadOlder(conversation: Conversation): Promise<void> {
    const { room, oldest, older } = conversation;
    if (older.value === "loading" || older.value === "none") return;
    older.value = "loading";
    try {
      const page = await this.#parlour.history({ room, limit: PAGE, ...(oldest !== undefined && { before: oldest }) });
      batch(() => {
        conversation.prepend(page.messages);
        older.value = page.more ? "some" : "none";
      });
      if (conversation.readSeq === undefined) conversation.readSeq = page.head;
    } catch (error) {
      older.value = "some";
      this.trouble.value = explain(error);
    }
  }

  /** Looks up which rooms there are, and returns the names of the user's private conversations. */
  async lookAround(): Promise<string[]> {
    const rooms = await this.#parlour.rooms().catch(() => []);
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

  #enter(room: string): Conversation {
    const known = this.conversations.value.get(room);
    if (known) return known;
    const conversation = new Conversation(room, peerOf(room, this.user.value));
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

  /** Fetches what joining does not tell: who was here lately, or what was said in private. */
  async #refresh(conversation: Conversation): Promise<void> {
    const { room, peer } = conversation;
    if (peer !== undefined) {
      if (conversation.older.value === "unknown") await this.loadOlder(conversation);
      return this.#reader.mark(conversation);
    }
    const list = await this.#parlour.members(room).catch(() => undefined);
    if (list) conversation.setMembers(list.members, list.member_count);
  }

  #listen(): void {
    this.#on("joined", (joined) => {
      const conversation = this.conversations.value.get(joined.room);
      conversation?.setMembers(joined.members, joined.member_count);
      if (!conversation || conversation.readSeq !== undefined) return;
      conversation.readSeq = saved.readUpTo(joined.room, joined.epoch) ?? joined.head;
      const isWhole = joined.head - BigInt(joined.replayed) <= joined.floor;
      conversation.older.value = isWhole ? "none" : "some";
    });
    this.#on("left", ({ room, code }) => {
      const conversation = this.conversations.value.get(room);
      if (conversation)
        conversation.refusal.value = explain({ code: code ?? "left", message: "You are no longer in this room." });
    });
    this.#on("message", ({ room, cid, ...line }) => this.#heard(this.conversations.value.get(room), line, cid));
    this.#on("private", ({ room, from, cid, ...rest }) =>
      this.#heard(this.#enter(room), { ...rest, sender: from }, cid),
    );
    this.#on("reset", ({ room, reason }) => {
      const conversation = this.conversations.value.get(room);
      conversation?.forgetLines();
      // Numbers of another lineage say nothing about what was read.
      if (conversation && reason !== "expired") conversation.readSeq = 0n;
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

  #heard(conversation: Conversation | undefined, line: Parameters<Conversation["append"]>[0], cid?: string): void {
    if (!conversation) return;
    if (conversation.peer !== undefined && conversation.readSeq === undefined) conversation.readSeq = line.seq - 1n;
    if (conversation.newest !== undefined && line.seq <= conversation.newest) return;
    conversation.append(line, line.sender === this.user.value ? cid : undefined);
    this.#reader.heard(conversation, line, line.sender === this.user.value);
  }

  #changed({ room, user, member_count }: Events["member_joined"], change: "joined" | "left"): void {
    const conversation = this.conversations.value.get(room);
    if (!conversation) return;
    conversation.memberCount.value = member_count;
    if (user !== this.user.value) conversation[change](user);
  }
}
