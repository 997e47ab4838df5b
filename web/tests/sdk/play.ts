/** A scripted server and virtual time for the SDK. Nothing here waits for a real clock. */
import { Parlour, type Entry, type Environment, type Events, type Options, type Socket } from "../../src/sdk/index.ts";

export const EPOCH = "00000000000000000000000000000001";
export const OTHER_EPOCH = "00000000000000000000000000000002";

interface Timer {
  at: number;
  run: () => void;
}

/** The server's end of one connection. */
export class FakeSocket implements Socket {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly url: string;
  readonly subprotocol: string;
  closedWith: number | undefined;
  readonly #heard: string[] = [];

  constructor(url: string, subprotocol: string) {
    this.url = url;
    this.subprotocol = subprotocol;
  }

  send(text: string): void {
    this.#heard.push(text);
  }

  close(code = 1005): void {
    this.closedWith ??= code;
  }

  /** Takes the raw frames that the client has sent since the last call. */
  raw(): string[] {
    return this.#heard.splice(0);
  }

  /** Takes what the client has sent since the last call. */
  heard(): { type: string; id: number; payload: any }[] {
    return this.raw().map((text) => JSON.parse(text));
  }

  say(type: string, payload: unknown, id?: number): void {
    this.onmessage?.({ data: JSON.stringify({ type, ...(id !== undefined && { id }), payload }) });
  }

  refuse(id: number | null, code: string, retryable = false, retry_after_ms?: number): void {
    const error = { type: "error", id, code, message: `because of ${code}`, retryable, retry_after_ms };
    this.onmessage?.({ data: JSON.stringify(error) });
  }

  /** Says messages of a room by number. */
  messages(...seqs: number[]): void {
    for (const seq of seqs) this.say("message", message(seq));
  }

  end(code: number, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

export class Play {
  readonly sockets: FakeSocket[] = [];
  readonly parlour: Parlour;
  readonly log: string[] = [];
  readonly entries: Entry[] = [];
  random = 0.5;
  #now = 0;
  #timers = new Set<Timer>();
  #cids = 0;

  constructor(options: Partial<Options> = { user: "Alice" }) {
    const environment: Environment = {
      open: (url, subprotocol) => {
        this.sockets.push(new FakeSocket(url, subprotocol));
        return this.socket;
      },
      now: () => this.#now,
      random: () => this.random,
      unique: () => `cid-${(this.#cids += 1)}`,
      after: (ms, run) => {
        const timer = { at: this.#now + ms, run };
        this.#timers.add(timer);
        return () => void this.#timers.delete(timer);
      },
    };
    this.parlour = new Parlour({ url: "ws://server/ws", environment, ...options });
    this.#record("message", ({ room, seq, text }) => `${room} ${seq} ${text}`);
    this.#record("private", ({ room, seq, from, text }) => `${room} ${seq} ${from}: ${text}`);
    this.#record("reset", ({ room, reason }) => `reset ${room} ${reason}`);
    this.#record("behind", ({ room, behind }) => `behind ${room} ${behind}`);
    this.parlour.on("entry", (entry) => this.entries.push(entry));
    this.#record("left", ({ room, code }) => `left ${room} ${code}`);
    this.#record("error", ({ message }) => `error ${message}`);
  }

  /** The newest connection. */
  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  /** Takes what listeners were told since the last call. */
  told(): string[] {
    return this.log.splice(0);
  }

  /** Lets promises run. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }

  /** Moves the clock, running what is due on the way. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await this.settle();
    }
    this.#now = end;
    await this.settle();
  }

  /** Opens the newest connection and takes the client's hello. */
  async hello(): Promise<{ id: number; payload: any }> {
    this.socket.onopen?.(undefined as never);
    await this.settle();
    const [hello, ...rest] = this.socket.heard();
    if (hello?.type !== "hello" || rest.length > 0) throw new Error(`not only hello: ${JSON.stringify(hello)}`);
    return hello;
  }

  /** Opens the newest connection and welcomes the client. */
  async welcome(more: object = {}): Promise<void> {
    const { id } = await this.hello();
    this.socket.say("welcome", { ...WELCOME, ...more }, id);
    await this.settle();
  }

  /** Connects and enters `general`, whose last message is `head`. */
  async enter(head: number): Promise<void> {
    this.parlour.connect();
    await this.welcome();
    void this.parlour.join("general", { history: 0 });
    this.socket.say("joined", joined({ head }), this.socket.heard()[0]!.id);
    await this.settle();
  }

  /** Breaks the connection, comes back after the wait, and welcomes the client again. */
  async comeBack(more: object = { resuming: ["general"] }): Promise<void> {
    this.socket.end(1006);
    await this.advance(2_000);
    await this.welcome(more);
  }

  #record<K extends keyof Events>(type: K, format: (payload: Events[K]) => string): void {
    this.parlour.on(type, (payload) => this.log.push(format(payload)));
  }
}

export const WELCOME = {
  session: "s",
  user: "Alice",
  server_time_ms: 0,
  heartbeat_ms: 25_000,
  limits: { message_bytes: 65_536, rooms: 512, rate_per_s: 10, burst: 20, history: 500 },
  reconnect: { min_ms: 1_000, max_ms: 3_000 },
  dev: true,
};

export function message(seq: number | string) {
  return { room: "general", seq, sender: "Bob", text: `m${seq}`, ts: 0 };
}

export function joined(more: object) {
  const base = { room: "general", epoch: EPOCH, head: 0, floor: 0, replayed: 0, recovered: true };
  return { ...base, durable: true, member_count: 1, members: [], ...more };
}

export function page(seqs: number[], more: object) {
  const base = { room: "general", epoch: EPOCH, head: seqs.at(-1) ?? 0, floor: 0, more: false };
  return { ...base, events: seqs.map((seq) => ({ type: "message", payload: message(seq) })), ...more };
}
