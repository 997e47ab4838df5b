/** Arranges what is shown as rows: days, marks, groups of messages by one sender, and notices in one row. */
import type { Line, Notice, Shown } from "../conversation.ts";
import type { Seq } from "../../sdk/index.ts";
import { dayKey } from "../time.ts";

export type Row =
  | { kind: "day"; key: string; ts: number }
  | { kind: "mark"; key: string }
  | { kind: "notices"; key: string; notices: Notice[] }
  | { kind: "line"; key: string; line: Line; isFirst: boolean };

/** A pause after which the sender is named again, in milliseconds. */
const PAUSE_MS = 5 * 60_000;

/** @param mark the last message that was read before the room was opened */
export function arrange(shown: readonly Shown[], mark: Seq | undefined): Row[] {
  const rows: Row[] = [];
  let day = "";
  let isMarked = mark === undefined;
  for (const item of shown) {
    const ts = item.kind === "line" ? item.line.ts : item.ts;
    const key = item.kind === "line" ? `line ${item.line.seq}` : `notice ${item.key}`;
    if (dayKey(ts) !== day) {
      day = dayKey(ts);
      rows.push({ kind: "day", key: `day ${day} ${rows.length && key}`, ts });
    }
    if (item.kind === "line" && !isMarked && item.line.seq > mark!) {
      isMarked = true;
      rows.push({ kind: "mark", key: "mark" });
    }
    const last = rows.at(-1);
    if (item.kind === "line") rows.push({ kind: "line", key, line: item.line, isFirst: !continues(last, item.line) });
    else if (last?.kind === "notices") last.notices = [...last.notices.filter((other) => !isUndone(other, item)), item];
    else rows.push({ kind: "notices", key, notices: [item] });
  }
  return rows;
}

const PRESENCE = new Set(["joined", "left"]);

/** Of somebody who comes and goes only the last counts. */
const isUndone = (earlier: Notice, later: Notice) =>
  earlier.user === later.user && PRESENCE.has(earlier.change) && PRESENCE.has(later.change);

function continues(row: Row | undefined, { sender, ts, reply_to }: Line): boolean {
  if (reply_to !== undefined) return false;
  return row?.kind === "line" && row.line.sender === sender && ts - row.line.ts < PAUSE_MS;
}
