/**
 * Commands that wait for their answer. They outlive connections: every command of the protocol may
 * be sent again (publishing carries a cid), so an unanswered one is sent again on the next
 * connection, and one that is refused for now is sent again later.
 */
import { FIRST_WINDOW, pickDelay } from "./backoff.ts";
import type { Environment } from "./environment.ts";
import { Refused } from "./refused.ts";
import { encode, type Answers, type Commands, type Refusal } from "./wire.ts";

/** Most commands that wait at the same time. */
export const MOST_WAITING = 1_000;
/** How often a query is sent before its refusal is final. */
const ATTEMPTS = 8;
/** What is stored under a cid, and must not overtake what was said before it. */
export const SAID = new Set<keyof Answers>([
  "publish",
  "private",
  "batch",
  "edit",
  "delete",
  "react",
  "pin",
  "create",
  "configure",
  "role",
  "sanction",
]);
/** Commands that only somebody may give who is in the room. */
const INSIDE = new Set<keyof Answers>([...SAID, "read", "delivered", "receipts"]);

interface Waiting {
  type: keyof Answers;
  payload: Commands[keyof Answers];
  /** `sent` waits for the server, `later` for a timer. */
  phase: "unsent" | "sent" | "later";
  attempt: number;
  resolve(answer: never): void;
  reject(error: Refused): void;
}

/** What the order of commands depends on. */
export interface Whereabouts {
  /** Whether this connection may speak in a room; the server itself refuses for unknown rooms. */
  maySpeak(room: string): boolean;
  /** The name of the private conversation with a user. */
  conversationWith(user: string): string;
}

export class Requests {
  readonly #environment: Environment;
  readonly #rooms: Whereabouts;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #send: ((text: string) => void) | undefined;

  constructor(environment: Environment, rooms: Whereabouts) {
    this.#environment = environment;
    this.#rooms = rooms;
  }

  /** Takes an id for a command that is not waited for here. */
  freshId(): number {
    return this.#nextId++;
  }

  /** Sends a command as soon as there is a connection. */
  ask<K extends keyof Answers>(type: K, payload: Commands[K]): Promise<Answers[K]> {
    return new Promise<Answers[K]>((resolve, reject) => {
      if (this.#waiting.size >= MOST_WAITING) {
        const message = `${MOST_WAITING} commands wait already`;
        return reject(new Refused({ code: "overloaded", message, retryable: true }));
      }
      this.#waiting.set(this.freshId(), { type, payload, phase: "unsent", attempt: 0, resolve, reject });
      this.flush();
    });
  }

  /** Begins to send on a new connection, what is unanswered first. */
  open(send: (text: string) => void): void {
    this.#send = send;
    for (const waiting of this.#waiting.values()) if (waiting.phase === "sent") waiting.phase = "unsent";
    this.flush();
  }

  /** Stops sending until the next {@link open}. What concerns this connection only is dropped. */
  shut(): void {
    this.#send = undefined;
    for (const [id, { type }] of this.#waiting) if (type === "more") this.#waiting.delete(id);
  }

  /** Sends what may be sent now. */
  flush(): void {
    const busy = new Set<string>();
    for (const [id, waiting] of this.#waiting) {
      const room = this.#roomOf(waiting);
      const isSaid = room !== undefined && SAID.has(waiting.type);
      // One at a time per room: a retry must not be overtaken by what was said after it.
      const isFree = !isSaid || !busy.has(room);
      if (isSaid) busy.add(room);
      if (!this.#send || waiting.phase !== "unsent" || !isFree) continue;
      if (room !== undefined && !this.#rooms.maySpeak(room)) continue;
      waiting.phase = "sent";
      waiting.attempt += 1;
      this.#send(encode(waiting.type, waiting.payload, id));
    }
  }

  /** Hands an answer to who asked. */
  settle(id: number, answer: unknown): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve(answer as never);
    if (waiting && SAID.has(waiting.type)) this.flush();
  }

  /** Takes a refusal. Returns false if nobody waits for it. */
  refuse(id: number, refusal: Refusal): boolean {
    const waiting = this.#waiting.get(id);
    if (!waiting) return false;
    const isPatient = SAID.has(waiting.type) || waiting.type === "join" || waiting.attempt < ATTEMPTS;
    if (refusal.retryable && isPatient) this.#retry(waiting, refusal);
    else {
      this.#waiting.delete(id);
      waiting.reject(new Refused(refusal));
      this.flush();
    }
    return true;
  }

  /** Refuses all that waits. */
  end(refusal: Refusal): void {
    this.shut();
    for (const waiting of this.#waiting.values()) waiting.reject(new Refused(refusal));
    this.#waiting.clear();
  }

  #retry(waiting: Waiting, refusal: Refusal): void {
    waiting.phase = "later";
    const jitter = pickDelay(FIRST_WINDOW, waiting.attempt, this.#environment.random);
    this.#environment.after(Math.max(refusal.retry_after_ms ?? 0, jitter), () => {
      waiting.phase = "unsent";
      this.flush();
    });
  }

  /** Returns the room that one must be in for a command. */
  #roomOf({ type, payload }: Waiting): string | undefined {
    if (type === "private") return this.#rooms.conversationWith((payload as Commands["private"]).to);
    return INSIDE.has(type) ? (payload as { room: string }).room : undefined;
  }
}
