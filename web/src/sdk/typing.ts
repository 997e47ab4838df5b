/** Sends typing notices rarely, however often keys are pressed. */
import type { Environment } from "./environment.ts";
import type { TypingNotice } from "./wire.ts";

/** A notice lives 6 s on the server; it is renewed after this time, in milliseconds. */
export const RENEW_MS = 4_000;

export class TypingSender {
  readonly #environment: Environment;
  readonly #send: (notice: Omit<TypingNotice, "user">) => void;
  readonly #sentAt = new Map<string, number>();

  constructor(environment: Environment, send: (notice: Omit<TypingNotice, "user">) => void) {
    this.#environment = environment;
    this.#send = send;
  }

  set(room: string, active: boolean): void {
    const now = this.#environment.now();
    const sentAt = this.#sentAt.get(room);
    const isFresh = sentAt !== undefined && now - sentAt < RENEW_MS;
    if (active ? isFresh : sentAt === undefined) return;
    if (active) this.#sentAt.set(room, now);
    else this.#sentAt.delete(room);
    this.#send({ room, active });
  }

  /** A message ends typing by itself, on the server too. */
  forget(room: string): void {
    this.#sentAt.delete(room);
  }

  forgetAll(): void {
    this.#sentAt.clear();
  }
}
