/** Times as people say them, in the browser's language. */
import { signal } from "@preact/signals";

/** The current time in milliseconds, renewed every half minute for relative times. */
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 30_000);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const DAY_MS = 86_400_000;

export const clockTime = (ts: number): string => clock.format(ts);
export const fullTime = (ts: number): string => full.format(ts);
export const dayKey = (ts: number): string => new Date(ts).toDateString();

/** Names a day: today, yesterday, or its date. */
export function dayName(ts: number, today: number): string {
  if (dayKey(ts) === dayKey(today)) return "Today";
  if (dayKey(ts) === dayKey(today - DAY_MS)) return "Yesterday";
  return (new Date(ts).getFullYear() === new Date(today).getFullYear() ? day : dayAndYear).format(ts);
}

/** Says how long ago something was. */
export function ago(ts: number, today: number): string {
  const minutes = Math.round((ts - today) / 60_000);
  if (minutes > -1) return "just now";
  if (minutes > -60) return relative.format(minutes, "minute");
  if (minutes > -60 * 24) return relative.format(Math.round(minutes / 60), "hour");
  return relative.format(Math.round(minutes / 60 / 24), "day");
}
