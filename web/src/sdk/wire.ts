/**
 * The words of `parlour.json.v1`, as docs/protocol.md has them: shapes only, no behaviour beyond
 * reading and writing one frame. Field names are the wire's own.
 */

/** The WebSocket subprotocol that this SDK speaks. */
export const SUBPROTOCOL = "parlour.json.v1";

/** Number of a message in its room, from 1 without gaps; exact up to 2^64-1. */
export type Seq = bigint;
/** Lineage of a room: 32 hexadecimal digits. Positions of two lineages cannot be compared. */
export type Epoch = string;

export interface Position {
  epoch: Epoch;
  seq: Seq;
}

export type Availability = "online" | "away";
export type Status = Availability | "offline";
/** Why a resume is not exact. */
export type Unrecovered = "expired" | "epoch" | "ahead" | "too_far" | "access";

/** A span from which a client picks a random moment, in milliseconds. */
export interface Window {
  min_ms: number;
  max_ms: number;
}

export interface Limits {
  message_bytes: number;
  rooms: number;
  rate_per_s: number;
  burst: number;
  history: number;
}

export interface Welcome {
  session: string;
  user: string;
  server_time_ms: number;
  heartbeat_ms: number;
  limits: Limits;
  reconnect: Window;
  dev: boolean;
  resuming?: string[];
}

export interface Member {
  user: string;
  status: Status;
  text?: string;
  last_active_ms: number;
}

export interface Joined {
  room: string;
  epoch: Epoch;
  head: Seq;
  floor: Seq;
  replayed: number;
  recovered: boolean;
  reason?: Unrecovered;
  durable: boolean;
  member_count: number;
  members: Member[];
}

export interface Message {
  room: string;
  seq: Seq;
  sender: string;
  text: string;
  ts: number;
  cid?: string;
}

export interface PrivateMessage {
  room: string;
  seq: Seq;
  from: string;
  to: string;
  text: string;
  ts: number;
  cid?: string;
}

export interface Membership {
  room: string;
  user: string;
  member_count: number;
}

export interface TypingNotice {
  room: string;
  user: string;
  active: boolean;
}

export interface PresenceNotice extends Member {
  room: string;
}

export interface ReadNotice {
  room: string;
  user: string;
  seq: Seq;
}

/** Where a message is stored. */
export interface Stored {
  room: string;
  epoch: Epoch;
  seq: Seq;
  ts: number;
  dup: boolean;
}

export interface MemberList {
  room: string;
  member_count: number;
  members: Member[];
}

export interface HistoryPage {
  room: string;
  epoch: Epoch;
  head: Seq;
  floor: Seq;
  messages: Message[];
  more: boolean;
}

export interface RoomSummary {
  room: string;
  member_count: number;
  joined: boolean;
  with?: string;
}

export interface Resync {
  room: string;
  reason: Unrecovered;
  epoch: Epoch;
  head: Seq;
  floor: Seq;
}

export interface GoAway {
  reason: string;
  reconnect: Window;
}

/** An error as the server says it; `code` is a word of the error table. */
export interface Refusal {
  code: string;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
}

/** Payloads of commands by name. */
export interface Commands {
  hello: { token?: string; user?: string; resume?: { room: string; since: Position }[] };
  join: { room: string; since?: Position; history?: number };
  leave: { room: string };
  publish: { room: string; text: string; cid: string };
  private: { to: string; text: string; cid: string };
  typing: { room: string; active: boolean };
  presence: { status: Availability; text?: string };
  members: { room: string };
  history: { room: string; before?: Seq; after?: Seq; limit?: number };
  rooms: Record<string, never>;
  read: { room: string; seq: Seq };
  ping: Record<string, never>;
}

/** Payloads of the answers to commands by the command's name. `typing` has none. */
export interface Answers {
  hello: Welcome;
  join: Joined;
  leave: { room: string };
  publish: Stored;
  private: Stored;
  presence: Record<string, never>;
  members: MemberList;
  history: HistoryPage;
  rooms: { rooms: RoomSummary[] };
  read: Record<string, never>;
  ping: { server_time_ms: number };
}

/** Payloads of events by name. */
export interface ServerEvents {
  welcome: Welcome;
  joined: Joined;
  left: { room: string };
  message: Message;
  member_joined: Membership;
  member_left: Membership;
  private: PrivateMessage;
  typing: TypingNotice;
  presence: PresenceNotice;
  read: ReadNotice;
  ack: Partial<Stored>;
  members: MemberList;
  history: HistoryPage;
  rooms: { rooms: RoomSummary[] };
  pong: { server_time_ms: number };
  resync: Resync;
  goaway: GoAway;
}

/** One frame of the server. */
export type Frame =
  | { [K in keyof ServerEvents]: { type: K; id?: number; payload: ServerEvents[K] } }[keyof ServerEvents]
  | ({ type: "error"; id?: number | null } & Refusal);

const NUMBERED = new Set(["seq", "head", "floor"]);

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
  return JSON.parse(text, (key, value: unknown) =>
    NUMBERED.has(key) && (typeof value === "number" || typeof value === "string") ? BigInt(value) : value,
  ) as Frame;
}
