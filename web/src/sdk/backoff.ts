/** When to come back: full jitter, so that clients of a restarted server do not arrive together. */
import type { Window } from "./wire.ts";

/** Longest wait between two attempts unless the server's own window is longer, in milliseconds. */
export const LONGEST_MS = 60_000;
/** The window before any server has named one. */
export const FIRST_WINDOW: Window = { min_ms: 100, max_ms: 1_000 };

/**
 * Picks the wait before attempt number `attempt` (from 1): evenly from the window, whose end doubles
 * with each failed attempt.
 */
export function pickDelay(window: Window, attempt: number, random: () => number): number {
  const longest = Math.max(LONGEST_MS, window.max_ms);
  const end = Math.min(longest, Math.max(window.max_ms, 1) * 2 ** Math.min(attempt - 1, 20));
  const start = Math.min(window.min_ms, end);
  return Math.round(start + random() * (end - start));
}
