/** Arranges entries as rows: days, marks, groups of lines by one sender, and notices in one row. */
import type { Entry, Notice } from "../conversation.ts";
import type { Seq } from "../../sdk/index.ts";
import { dayKey } from "../time.ts";

type LineEntry = Extract<Entry, { kind: "line" }>;

export type Row =
  | { kind: "day"; key: string; ts: number }
  | { kind: "mark"; key: string }
  | { kind: "notices"; key: string; notices: Notice[] }
  | { kind: "line"; key: string; line: LineEntry; isFirst: boolean };

/** A pause after which the sender is named again, in milliseconds. */
const PAUSE_MS = 5 * 60_000;

/** @param mark the last line that was read before the room was opened */
export function arrange(entries: readonly Entry[], mark: Seq | undefined): Row[] {
  const rows: Row[] = [];
  let day = "";
  let isMarked = mark === undefined;
  for (const entry of entries) {
    if (dayKey(entry.ts) !== day) {
      day = dayKey(entry.ts);
      rows.push({ kind: "day", key: `day ${day} ${rows.length && keyOf(entry)}`, ts: entry.ts });
    }
    if (entry.kind === "line" && !isMarked && entry.seq > mark!) {
      isMarked = true;
      rows.push({ kind: "mark", key: "mark" });
    }
    const last = rows.at(-1);
    if (entry.kind === "line")
      rows.push({ kind: "line", key: keyOf(entry), line: entry, isFirst: !continues(last, entry) });
    else if (last?.kind === "notices")
      last.notices = [...last.notices.filter(({ user }) => user !== entry.user), entry];
    else rows.push({ kind: "notices", key: keyOf(entry), notices: [entry] });
  }
  return rows;
}

const keyOf = (entry: Entry): string => (entry.kind === "line" ? `line ${entry.seq}` : `notice ${entry.key}`);

function continues(row: Row | undefined, { sender, ts }: LineEntry): boolean {
  return row?.kind === "line" && row.line.sender === sender && ts - row.line.ts < PAUSE_MS;
}
