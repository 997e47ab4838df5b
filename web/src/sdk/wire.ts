/** The words of `parlour.json.v1` (docs/protocol.md), and reading and writing one frame of it. */
import type * as told from "./payloads.ts";
import type { Seq } from "./payloads.ts";

export type * from "./payloads.ts";

/** The WebSocket subprotocol that this SDK speaks. */
export const SUBPROTOCOL = "parlour.json.v1";

/** What a message may have beside its text. */
export interface Relations {
  /** The message that it answers. */
  reply_to?: Seq;
  /** Users who are meant, at most 50. */
  mentions?: string[];
}

export interface Draft extends Relations {
  text: string;
  cid: string;
}

interface Cursor {
  room: string;
  seq: Seq;
}

/** Payloads of commands by name. */
export interface Commands {
  hello: { token?: string; user?: string; resume?: { room: string; since: told.Position }[] };
  join: { room: string; since?: told.Position; history?: number };
  leave: { room: string };
  publish: Draft & { room: string };
  private: Draft & { to: string };
  batch: { room: string; messages: Draft[] };
  edit: { room: string; target: Seq; text: string; mentions?: string[]; cid: string };
  delete: { room: string; target: Seq; cid: string };
  react: { room: string; target: Seq; emoji: string; active: boolean; cid: string };
  pin: { room: string; target: Seq; active: boolean; cid: string };
  create: { room: string; cid: string } & told.Settings;
  configure: { room: string; cid: string } & told.Settings;
  role: { room: string; user: string; role?: told.Role; cid: string };
  sanction: { room: string; user: string; kind: told.SanctionKind; for_ms?: number; reason?: string; cid: string };
  report: { room: string; target: Seq; reason?: string };
  reports: { room: string };
  resolve: { room: string; target: Seq };
  typing: { room: string; active: boolean };
  presence: { status: told.Availability; text?: string };
  members: { room: string };
  history: { room: string; before?: Seq; after?: Seq; thread?: Seq; limit?: number };
  rooms: Record<string, never>;
  read: Cursor;
  delivered: Cursor;
  receipts: Cursor;
  status: { room: string; cid: string };
  info: { room: string };
  more: { room: string };
  search: { query: string; room?: string; before?: string; limit?: number };
  ping: Record<string, never>;
}

export interface ReplayPage {
  room: string;
  /** How many events follow. */
  replayed: number;
  /** How many are left then. */
  behind: number;
}

/** A page without holes, oldest entry first. */
export interface HistoryPage {
  room: string;
  epoch: told.Epoch;
  head: Seq;
  floor: Seq;
  events: Entry[];
  more: boolean;
}

/** Payloads of the answers to commands by the command's name. `typing` has none. */
export interface Answers {
  hello: told.Welcome;
  join: told.Joined;
  leave: { room: string };
  publish: told.Stored;
  private: told.Stored;
  batch: told.Stored;
  edit: told.Stored;
  delete: told.Stored;
  react: told.Stored;
  pin: told.Stored;
  create: told.Stored;
  configure: told.Stored;
  role: told.Stored;
  sanction: told.Stored;
  report: Record<string, never>;
  reports: { room: string; reports: told.Report[] };
  resolve: Record<string, never>;
  presence: Record<string, never>;
  members: told.MemberList;
  history: HistoryPage;
  rooms: { rooms: told.RoomSummary[] };
  read: Record<string, never>;
  delivered: Record<string, never>;
  receipts: told.ReceiptList;
  status: told.MessageStatus;
  info: told.RoomInfo;
  /** A room that has forgotten what was missed answers with `resync`. */
  more: ReplayPage | told.Resync;
  search: told.Found;
  ping: { server_time_ms: number };
}

/** Commands that are answered by where something is stored. */
export type Said = { [K in keyof Answers]: Answers[K] extends told.Stored ? K : never }[keyof Answers];

/** Payloads of the entries of a room's log by name. */
export interface Entries {
  message: told.Message;
  private: told.PrivateMessage;
  edited: told.Edited;
  deleted: told.Deleted;
  reacted: told.Reacted;
  pinned: told.Pinned;
  room_changed: told.RoomChanged;
  role_changed: told.RoleChanged;
  sanctioned: told.Sanctioned;
}

/** Payloads of events about a room that are not kept, by name. */
export interface Notices {
  member_joined: told.Membership;
  member_left: told.Membership;
  typing: told.TypingNotice;
  presence: told.PresenceNotice;
  read: told.CursorNotice;
  delivered: told.CursorNotice;
  /** What a user said is no longer kept: forget it. */
  erased: { room: string; user: string };
}

/** Payloads of the other events by name. */
interface Others {
  welcome: told.Welcome;
  joined: told.Joined;
  left: { room: string };
  ack: Partial<told.Stored>;
  members: told.MemberList;
  history: HistoryPage;
  rooms: { rooms: told.RoomSummary[] };
  pong: { server_time_ms: number };
  page: ReplayPage;
  status: told.MessageStatus;
  info: told.RoomInfo;
  receipts: told.ReceiptList;
  found: told.Found;
  reports: { room: string; reports: told.Report[] };
  resync: told.Resync;
  goaway: told.GoAway;
  token_expiring: told.TokenExpiring;
}

/** One of several payloads with its name. */
export type Named<Payloads> = { [K in keyof Payloads]: { type: K; payload: Payloads[K] } }[keyof Payloads];
export type Entry = Named<Entries>;
export type Notice = Named<Notices>;

/** One frame of the server. */
export type Frame =
  ((Entry | Notice | Named<Others>) & { id?: number }) | ({ type: "error"; id?: number | null } & told.Refusal);

const ENTRIES: ReadonlySet<string> = new Set<keyof Entries>([
  "message",
  "private",
  "edited",
  "deleted",
  "reacted",
  "pinned",
  "room_changed",
  "role_changed",
  "sanctioned",
]);
const NOTICES: ReadonlySet<string> = new Set<keyof Notices>([
  "member_joined",
  "member_left",
  "typing",
  "presence",
  "read",
  "delivered",
  "erased",
]);

export const isEntry = (frame: { type: string }): frame is Entry => ENTRIES.has(frame.type);
export const isNotice = (frame: { type: string }): frame is Notice => NOTICES.has(frame.type);

const NUMBERED = new Set(["seq", "head", "floor", "reply_to", "thread", "edited", "deleted", "target"]);

/** Writes one frame: a `Seq` as a number, or as a string where a double would round it. */
export function encode<K extends keyof Commands>(type: K, payload: Commands[K], id?: number): string {
  return JSON.stringify({ type, ...(id !== undefined && { id }), payload }, (_, value: unknown) =>
    typeof value !== "bigint" ? value : value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString(),
  );
}

/**
 * Reads one frame. Types that this version does not know are returned as they are, so that a newer
 * server can say more.
 *
 * @throws SyntaxError or RangeError if it is not JSON or a seq is not a whole number.
 */
export function decode(text: string): Frame {
  return JSON.parse(text, function (this: object, key, value: unknown) {
    // In a list of receipts these are places; in the sum over it they are counts of people.
    const isPlace = NUMBERED.has(key) || ((key === "read" || key === "delivered") && "user" in this);
    if (isPlace) return isNumeral(value) ? BigInt(value) : value;
    return key === "pins" && Array.isArray(value) ? value.map((pin) => (isNumeral(pin) ? BigInt(pin) : pin)) : value;
  }) as Frame;
}

const isNumeral = (value: unknown): value is number | string => typeof value === "number" || typeof value === "string";
