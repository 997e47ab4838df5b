/** Where a client has got: what it tells the others, and what it remembers for its next life. */
import type { Environment } from "./environment.ts";
import type { Position, Seq } from "./wire.ts";

/** How long cursors are gathered before they are sent, in milliseconds. */
export const GATHER_MS = 1_000;
/** How long positions are gathered before they are stored, in milliseconds. */
const STORE_MS = 250;
/** Most positions that are remembered; the oldest are forgotten. */
const MOST_KEPT = 200;

type Kind = "read" | "delivered";

/** Tells how far the user has read and what has arrived: the furthest entry, once a second and room. */
export class Receipts {
  readonly #environment: Environment;
  readonly #send: (kind: Kind, room: string, seq: Seq) => void;
  readonly #waiting = new Map<string, { kind: Kind; room: string; seq: Seq }>();
  readonly #sent = new Map<string, Seq>();
  #isDue = false;

  constructor(environment: Environment, send: (kind: Kind, room: string, seq: Seq) => void) {
    this.#environment = environment;
    this.#send = send;
  }

  move(kind: Kind, room: string, seq: Seq): void {
    const key = `${kind} ${room}`;
    if (seq <= (this.#waiting.get(key)?.seq ?? this.#sent.get(key) ?? 0n)) return;
    this.#waiting.set(key, { kind, room, seq });
    if (this.#isDue) return;
    this.#isDue = true;
    this.#environment.after(GATHER_MS, () => this.#sendAll());
  }

  /** Numbers of a room have lost their meaning. */
  forget(room: string): void {
    for (const key of [`read ${room}`, `delivered ${room}`]) {
      this.#waiting.delete(key);
      this.#sent.delete(key);
    }
  }

  #sendAll(): void {
    this.#isDue = false;
    for (const [key, { kind, room, seq }] of this.#waiting) {
      this.#sent.set(key, seq);
      this.#send(kind, room, seq);
    }
    this.#waiting.clear();
  }
}

/** The part of a browser's `Storage` that the SDK uses. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Remembers positions over lives of the program. */
export class Memory {
  readonly #environment: Environment;
  readonly #storage: Storage | undefined;
  readonly #key: string;
  readonly #positions: Map<string, Position>;
  #isDue = false;

  /** @param key names the user and the server: positions of others mean nothing */
  constructor(environment: Environment, storage: Storage | undefined, key: string) {
    this.#environment = environment;
    this.#storage = storage;
    this.#key = `parlour.cursors ${key}`;
    this.#positions = new Map(this.#load());
  }

  /** Whether anything outlives the program. */
  get isKept(): boolean {
    return this.#storage !== undefined;
  }

  get(room: string): Position | undefined {
    return this.#positions.get(room);
  }

  rooms(): string[] {
    return [...this.#positions.keys()];
  }

  /** @param position absent: the room is left */
  set(room: string, position: Position | undefined): void {
    if (!this.#storage) return;
    this.#positions.delete(room);
    if (position) this.#positions.set(room, position);
    if (this.#positions.size > MOST_KEPT) this.#positions.delete(this.#positions.keys().next().value!);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#environment.after(STORE_MS, () => this.#store());
  }

  #store(): void {
    this.#isDue = false;
    const positions = [...this.#positions].map(([room, { epoch, seq }]) => [room, epoch, String(seq)]);
    try {
      this.#storage!.setItem(this.#key, JSON.stringify(positions));
    } catch {
      // A full or forbidden storage costs only the memory of the next life.
    }
  }

  #load(): [string, Position][] {
    try {
      const stored = JSON.parse(this.#storage?.getItem(this.#key) ?? "[]") as [string, string, string][];
      return stored.map(([room, epoch, seq]) => [room, { epoch, seq: BigInt(seq) }]);
    } catch {
      return [];
    }
  }
}
