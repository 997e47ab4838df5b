/** What moderators do in a room, and how members call them. */
import type { Answers, Commands, Report, Seq, Stored } from "./wire.ts";

/** How long a mute or a ban lasts, and why; without `for_ms` until it is taken back. */
export interface Terms {
  for_ms?: number;
  /** Read by everybody in the room, at most 256 bytes. */
  reason?: string;
}

interface Port {
  sanction(sanction: Omit<Commands["sanction"], "cid">): Promise<Stored>;
  ask<K extends "report" | "reports" | "resolve">(type: K, payload: Commands[K]): Promise<Answers[K]>;
}

export class Moderation {
  readonly #port: Port;

  constructor(port: Port) {
    this.#port = port;
  }

  /** Puts a user out of a room, who may come back. */
  kick(room: string, user: string, reason?: string): Promise<Stored> {
    return this.#port.sanction({ room, user, kind: "kick", ...(reason !== undefined && { reason }) });
  }

  /** Lets a user only listen. */
  mute(room: string, user: string, terms: Terms = {}): Promise<Stored> {
    return this.#port.sanction({ room, user, kind: "mute", ...terms });
  }

  /** Puts a user out of a room and keeps them out. */
  ban(room: string, user: string, terms: Terms = {}): Promise<Stored> {
    return this.#port.sanction({ room, user, kind: "ban", ...terms });
  }

  /** Takes a mute or a ban back. */
  pardon(room: string, user: string): Promise<Stored> {
    return this.#port.sanction({ room, user, kind: "none" });
  }

  /** Tells the moderators of a message; only they read why. */
  async report(room: string, target: Seq, reason?: string): Promise<void> {
    await this.#port.ask("report", { room, target, ...(reason !== undefined && { reason }) });
  }

  /** Lists what was reported and not yet dealt with. */
  async reports(room: string): Promise<Report[]> {
    return (await this.#port.ask("reports", { room })).reports;
  }

  /** Takes the reports of a message off the list. */
  async resolve(room: string, target: Seq): Promise<void> {
    await this.#port.ask("resolve", { room, target });
  }
}
