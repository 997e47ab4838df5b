/** Mutes and bans in words, and who may do what to whom. */
import type { Role, Sanction } from "../sdk/index.ts";

/** A sanction as it is offered: for how long, in milliseconds; absent: until it is taken back. */
export interface Offer {
  label: string;
  kind: "kick" | "mute" | "ban";
  for_ms?: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** What is offered against a user, the mildest first. */
export const OFFERS: readonly Offer[] = [
  { label: "Silence for 10 minutes", kind: "mute", for_ms: 10 * MINUTE_MS },
  { label: "Silence for a day", kind: "mute", for_ms: DAY_MS },
  { label: "Put out", kind: "kick" },
  { label: "Ban for a day", kind: "ban", for_ms: DAY_MS },
  { label: "Ban", kind: "ban" },
];

/** Whether somebody with a role may act against somebody else; owners alone against moderators. */
export function mayModerate(own: Role | undefined, other: Role | undefined): boolean {
  const isPlain = other === undefined || other === "member";
  return own === "owner" || (own === "moderator" && isPlain);
}

/** Whether a mute or a ban still holds. */
export function holds({ until_ms }: Sanction, now: number): boolean {
  return until_ms === undefined || now < until_ms;
}

/** Says what somebody did, behind their name. */
export function toldOf({ user, kind, until_ms, reason, ts }: Sanction & { ts: number }): string {
  const time = until_ms === undefined ? "" : ` for ${span(until_ms - ts)}`;
  const why = reason ? `: ${reason}` : "";
  switch (kind) {
    case "none":
      return `took back what was done to ${user}`;
    case "kick":
      return `put out ${user}${why}`;
    case "mute":
      return `silenced ${user}${time}${why}`;
    case "ban":
      return `banned ${user}${time}${why}`;
  }
}

/** Returns a time in words, in the largest unit that fits, rounded up. */
export function span(ms: number): string {
  const units = [
    ["day", DAY_MS],
    ["hour", HOUR_MS],
    ["minute", MINUTE_MS],
    ["second", 1_000],
  ] as const;
  const [unit, size] = units.find(([, size]) => ms >= size) ?? units[3];
  const count = Math.ceil(ms / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
