/** A client of one Parlour server: connects, stays connected, and keeps every room in order. */
import { FIRST_WINDOW, pickDelay } from "./backoff.ts";
import { Memory, Receipts, type Storage } from "./cursors.ts";
import { Emitter } from "./emitter.ts";
import { platform, type Environment } from "./environment.ts";
import { Link } from "./link.ts";
import { Moderation } from "./moderation.ts";
import { conversationOf } from "./peers.ts";
import { Refused } from "./refused.ts";
import { Renewal, type Token } from "./renewal.ts";
import { Requests } from "./requests.ts";
import { Rooms, type RoomEvents } from "./rooms.ts";
import { TypingSender } from "./typing.ts";
import * as wire from "./wire.ts";

export interface Options {
  /** Where the server is: `ws://`, `wss://`, or relative to the page. */
  url: string | URL;
  /** The chosen name, where the server allows anonymous access. */
  user?: string;
  /** Credentials, or how to get them: asked for every connection, and again before they expire. */
  token?: Token;
  /**
   * Where to remember how far each room was seen, so that the next life of the program goes on
   * there: `localStorage`, or anything like it. One per user where there are tokens.
   */
  storage?: Storage;
  /** Whether to tell the others what has arrived here. */
  reportDelivery?: boolean;
  environment?: Environment;
}

/** What a message may have beside its text. */
export interface Extras extends wire.Relations {
  /** The client's id of it: the same cid is stored once. */
  cid?: string;
}

/** What became of the connection. */
export type State =
  | { name: "idle" }
  | { name: "connecting"; attempt: number }
  | { name: "online"; welcome: wire.Welcome }
  /** Will connect again after `delay_ms`. `code` and `reason` are the last end's. */
  | { name: "waiting"; attempt: number; delay_ms: number; code: number; reason: string }
  /** Will not connect again unless told. `reason` is a word of the error table, or `closed`. */
  | { name: "stopped"; code: number; reason: string; message: string };

export interface Events extends RoomEvents {
  state: State;
  goaway: wire.GoAway;
  /** The credentials expire soon. With a function for `token` there is nothing to do. */
  token_expiring: wire.TokenExpiring;
  /** The server's refusal of something that is not waited for, or an unreadable frame. */
  error: Error;
}

/** Ends of a connection after which coming back makes sense. */
const RETRY_CODES = new Set([1001, 1006, 1011, 1012, 1013]);
/**
 * How long a room that the server resumes may take before it is asked for by a command of its own,
 * whose refusal names it, in milliseconds.
 */
const REJOIN_MS = 5_000;

export class Parlour {
  /** What moderators do, and how members call them. */
  readonly moderation: Moderation;
  readonly #options: Options;
  readonly #environment: Environment;
  readonly #emitter = new Emitter<Events>();
  readonly #requests: Requests;
  readonly #rooms: Rooms;
  readonly #receipts: Receipts;
  readonly #typing: TypingSender;
  readonly #renewal: Renewal;
  #user: string;
  #state: State = { name: "idle" };
  #link: Link | undefined;
  #helloId = 0;
  #attempt = 0;
  #window = FIRST_WINDOW;
  #presence: wire.Commands["presence"] | undefined;
  #cancelTimer = () => {};

  constructor(options: Options) {
    this.#options = options;
    this.#user = options.user ?? "";
    this.#environment = options.environment ?? platform;
    const environment = this.#environment;
    this.#requests = new Requests(environment, {
      maySpeak: (room) => this.#rooms.maySpeak(room),
      conversationWith: (user) => conversationOf(this.#user, user),
    });
    this.#rooms = new Rooms({
      environment,
      requests: this.#requests,
      memory: new Memory(environment, options.storage, `${String(options.url)} ${options.user ?? ""}`),
      emit: (type, payload) => this.#tell(type, payload),
    });
    this.#receipts = new Receipts(environment, (kind, room, seq) => {
      // A room that was left meanwhile has no cursor any more.
      this.#requests.ask(kind, { room, seq }).catch(() => {});
    });
    this.#renewal = new Renewal({
      environment,
      token: options.token,
      freshId: () => this.#requests.freshId(),
      isCurrent: (link) => this.#link === link,
      failed: (error) => this.#emitter.emit("error", error),
    });
    this.moderation = new Moderation({
      sanction: (sanction) => this.#say("sanction", { ...sanction, cid: environment.unique() }),
      ask: (type, payload) => this.#requests.ask(type, payload),
    });
    this.#typing = new TypingSender(this.#environment, (notice) => {
      if (this.#state.name === "online") this.#link?.send(wire.encode("typing", notice));
    });
  }

  get state(): State {
    return this.#state;
  }

  /** Listens to events; the returned function ends that. */
  on<K extends keyof Events>(type: K, listener: (payload: Events[K]) => void): () => void {
    return this.#emitter.on(type, listener);
  }

  /** Connects, or connects now instead of after the wait. Does nothing while a connection is there. */
  connect(): void {
    if (this.#link) return;
    this.#cancelTimer();
    this.#attempt += 1;
    this.#enter({ name: "connecting", attempt: this.#attempt });
    const link: Link = new Link(this.#environment, String(this.#options.url), {
      opened: () => void this.#hello(link),
      frame: (frame) => this.#take(link, frame),
      garbled: (error) => this.#emitter.emit("error", error as Error),
      ended: (code, reason) => this.#ended(code, reason),
    });
    this.#link = link;
  }

  /** Says goodbye. Commands without an answer are refused with the code `closed`. */
  close(): void {
    this.#stop(1000, { code: "closed", message: "The client was closed.", retryable: false });
  }

  /**
   * Enters a room and stays in it over lost connections until {@link leave}.
   *
   * @param history how many of the last messages to get, and after a hole that cannot be filled
   * @param since resume after this position, for programs that keep it
   */
  join(room: string, { history = 50, since }: { history?: number; since?: wire.Position } = {}): Promise<wire.Joined> {
    return this.#rooms.join(room, history, since);
  }

  /**
   * Begins a room anew with its newest entries, such as when `behind` tells that more was missed than
   * anybody wants to see. Others notice nothing. What was seen before is not continued.
   */
  restart(room: string): Promise<wire.Joined> {
    return this.#rooms.restart(room);
  }

  /** Leaves a room. */
  leave(room: string): Promise<{ room: string }> {
    this.#typing.forget(room);
    return this.#rooms.leave(room);
  }

  /**
   * Says something in a room. The promise is kept when the message is stored, however many
   * connections that takes; it is broken only by a definite refusal or {@link close}.
   */
  publish(room: string, text: string, extras: Extras = {}): Promise<wire.Stored> {
    this.#typing.forget(room);
    return this.#say("publish", { room, text, ...this.#named(extras) });
  }

  /** Says something to one user. Promises what {@link publish} does, as all of the following do. */
  private(to: string, text: string, extras: Extras = {}): Promise<wire.Stored> {
    return this.#say("private", { to, text, ...this.#named(extras) });
  }

  /** Says up to 64 messages with consecutive numbers, all or none; `seq` is the first. */
  batch(room: string, messages: (Extras & { text: string })[]): Promise<wire.Stored> {
    return this.#say("batch", { room, messages: messages.map((message) => this.#named(message)) });
  }

  /** Replaces the text of one's own message. */
  edit(room: string, target: wire.Seq, text: string, extras: Omit<Extras, "reply_to"> = {}): Promise<wire.Stored> {
    return this.#say("edit", { room, target, text, ...this.#named(extras) });
  }

  /** Erases a message: one's own, or any as a moderator. */
  delete(room: string, target: wire.Seq): Promise<wire.Stored> {
    return this.#say("delete", { room, target, cid: this.#environment.unique() });
  }

  /** Adds a reaction, or takes it back. */
  react(room: string, target: wire.Seq, emoji: string, active = true): Promise<wire.Stored> {
    return this.#say("react", { room, target, emoji, active, cid: this.#environment.unique() });
  }

  /** Pins a message, or unpins it. */
  pin(room: string, target: wire.Seq, active = true): Promise<wire.Stored> {
    return this.#say("pin", { room, target, active, cid: this.#environment.unique() });
  }

  /** Creates a room and becomes its owner. Join it to speak there. */
  create(room: string, settings: wire.Settings = {}): Promise<wire.Stored> {
    return this.#say("create", { room, ...settings, cid: this.#environment.unique() });
  }

  /** Changes what is given of a room's title, topic, privacy and pace. */
  configure(room: string, settings: wire.Settings): Promise<wire.Stored> {
    return this.#say("configure", { room, ...settings, cid: this.#environment.unique() });
  }

  /** Gives a user a role in a room; without one it is taken. */
  setRole(room: string, user: string, role?: wire.Role): Promise<wire.Stored> {
    return this.#say("role", { room, user, ...(role && { role }), cid: this.#environment.unique() });
  }

  /** Asks where one's own message is stored, if it is. */
  status(room: string, cid: string): Promise<wire.MessageStatus> {
    return this.#requests.ask("status", { room, cid });
  }

  /** Tells that the user types, or has stopped; call it on every key, it is sent rarely. */
  typing(room: string, active: boolean): void {
    this.#typing.set(room, active);
  }

  /** Sets the own presence, also on later connections. */
  async presence(status: wire.Availability, text?: string): Promise<void> {
    this.#presence = { status, ...(text !== undefined && { text }) };
    await this.#requests.ask("presence", this.#presence);
  }

  /** Asks who is in a room and who was lately. */
  members(room: string): Promise<wire.MemberList> {
    return this.#requests.ask("members", { room });
  }

  /** Asks for a room's title, topic, roles, pins and sanctions. */
  info(room: string): Promise<wire.RoomInfo> {
    return this.#requests.ask("info", { room });
  }

  /** Looks for messages that hold all words, newest first: in one room, or wherever the user may read. */
  search(query: wire.Commands["search"]): Promise<wire.Found> {
    return this.#requests.ask("search", query);
  }

  /** Asks for a page of a room or a private conversation, with messages as they are now; the newest unless told. */
  async history(query: wire.Commands["history"]): Promise<wire.HistoryPage> {
    const page = await this.#requests.ask("history", query);
    this.#rooms.paged(page);
    return page;
  }

  /** Asks for one's own rooms, conversations and the open rooms. */
  async rooms(): Promise<wire.RoomSummary[]> {
    return (await this.#requests.ask("rooms", {})).rooms;
  }

  /** Notes that the user has read this far; told to others at most once a second and room. */
  read(room: string, seq: wire.Seq): void {
    this.#receipts.move("read", room, seq);
  }

  /** Asks how many members have got as far as an entry, and who has got how far. */
  receipts(room: string, seq: wire.Seq): Promise<wire.ReceiptList> {
    return this.#requests.ask("receipts", { room, seq });
  }

  /** Asks for a sign of life. Returns the server's clock in milliseconds since the Unix epoch. */
  async ping(): Promise<number> {
    return (await this.#requests.ask("ping", {})).server_time_ms;
  }

  /** Returns the position in a room, to resume from in another run of the program. */
  position(room: string): wire.Position | undefined {
    return this.#rooms.position(room);
  }

  #named<T extends Extras>(extras: T): T & { cid: string } {
    return { ...extras, cid: extras.cid ?? this.#environment.unique() };
  }

  async #say<K extends wire.Said>(type: K, payload: wire.Commands[K]): Promise<wire.Stored> {
    const stored = await this.#requests.ask(type, payload);
    this.#rooms.stored(stored as wire.Stored);
    return stored as wire.Stored;
  }

  #tell<K extends keyof RoomEvents>(type: K, payload: RoomEvents[K]): void {
    if (type === "reset" || type === "left") this.#receipts.forget((payload as { room: string }).room);
    this.#emitter.emit(type, payload as Events[K]);
    if (type !== "entry" || !this.#options.reportDelivery) return;
    const { room, seq } = (payload as wire.Entry).payload;
    this.#receipts.move("delivered", room, seq);
  }

  async #hello(link: Link): Promise<void> {
    const { user, token } = this.#options;
    try {
      const credentials = typeof token === "function" ? await token() : token;
      this.#helloId = this.#requests.freshId();
      const resume = this.#rooms.toResume();
      const hello = {
        ...(credentials !== undefined && { token: credentials }),
        ...(user !== undefined && { user }),
        ...(resume.length > 0 && { resume }),
      };
      link.send(wire.encode("hello", hello, this.#helloId));
    } catch (error) {
      this.#emitter.emit("error", error as Error);
      link.abandon("no credentials");
    }
  }

  #take(link: Link, frame: wire.Frame): void {
    if (frame.type === "error") return this.#refused(link, frame);
    if (frame.type === "welcome") {
      if (!this.#renewal.isAnsweredBy(frame)) this.#welcomed(link, frame.payload);
    } else if (frame.type === "token_expiring") {
      this.#emitter.emit("token_expiring", frame.payload);
      void this.#renewal.begin(link);
    } else if (frame.type === "goaway") {
      this.#window = frame.payload.reconnect;
      this.#emitter.emit("goaway", frame.payload);
    } else this.#rooms.take(frame);
    if (frame.id !== undefined) this.#requests.settle(frame.id, frame.payload);
  }

  #refused(link: Link, { id, ...refusal }: { id?: number | null } & wire.Refusal): void {
    if (typeof id !== "number") return this.#emitter.emit("error", new Refused(refusal));
    if (id !== this.#helloId) return void this.#requests.refuse(id, refusal);
    if (!refusal.retryable) return this.#stop(1008, refusal);
    if (refusal.retry_after_ms) this.#window = { min_ms: refusal.retry_after_ms, max_ms: 2 * refusal.retry_after_ms };
    link.abandon(refusal.code);
  }

  #welcomed(link: Link, welcome: wire.Welcome): void {
    this.#attempt = 0;
    this.#user = welcome.user;
    this.#window = welcome.reconnect;
    this.#cancelTimer();
    link.watch(welcome.heartbeat_ms, () => this.#requests.freshId());
    this.#enter({ name: "online", welcome });
    this.#requests.open((text) => link.send(text));
    this.#rooms.welcomed(welcome.resuming ?? []);
    this.#cancelTimer = this.#environment.after(REJOIN_MS, () => this.#rooms.rejoin());
    if (this.#presence) this.#requests.ask("presence", this.#presence).catch(() => {});
  }

  #ended(code: number, reason: string): void {
    if (!RETRY_CODES.has(code) && !(reason === "token_expired" && this.#renewal.isPossible)) {
      return this.#stop(code, {
        code: reason || `close_${code}`,
        message: "The server ended the connection.",
        retryable: false,
      });
    }
    this.#unlink();
    const delay_ms = pickDelay(this.#window, Math.max(this.#attempt, 1), this.#environment.random);
    this.#cancelTimer = this.#environment.after(delay_ms, () => this.connect());
    this.#enter({ name: "waiting", attempt: this.#attempt + 1, delay_ms, code, reason });
  }

  #stop(code: number, refusal: wire.Refusal): void {
    if (this.#state.name === "stopped") return;
    this.#link?.close();
    this.#unlink();
    this.#attempt = 0;
    this.#requests.end(refusal);
    this.#enter({ name: "stopped", code, reason: refusal.code, message: refusal.message });
  }

  #unlink(): void {
    this.#cancelTimer();
    this.#link = undefined;
    this.#requests.shut();
    this.#rooms.detached();
    this.#typing.forgetAll();
  }

  #enter(state: State): void {
    this.#state = state;
    this.#emitter.emit("state", state);
  }
}
