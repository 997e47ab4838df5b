/** What clients and server tell each other, in the names of the wire (docs/protocol.md). Shapes only. */

/** Number of an entry in its room, from 1 without gaps; exact up to 2^64-1. */
export type Seq = bigint;
/** Lineage of a room: 32 hexadecimal digits. Positions of two lineages cannot be compared. */
export type Epoch = string;

export interface Position {
  epoch: Epoch;
  seq: Seq;
}

export type Availability = "online" | "away";
export type Status = Availability | "offline";
/** What a user may do in a room beyond speaking. */
export type Role = "member" | "moderator" | "owner";
/** Why a resume is not exact. */
export type Unrecovered = "expired" | "epoch" | "ahead" | "access";

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

/** How far one member has got. */
export interface Receipt {
  user: string;
  read: Seq;
  delivered: Seq;
}

export interface Joined {
  room: string;
  epoch: Epoch;
  head: Seq;
  floor: Seq;
  replayed: number;
  /** How many more were missed and are told in pages. */
  behind?: number;
  recovered: boolean;
  reason?: Unrecovered;
  durable: boolean;
  member_count: number;
  members: Member[];
  receipts?: Receipt[];
}

/** What every entry of a room's log has. */
export interface Header {
  room: string;
  seq: Seq;
  sender: string;
  ts: number;
  cid?: string;
}

/** All reactions of one sort to a message; `users` are at most 20. */
export interface Tally {
  emoji: string;
  count: number;
  users: string[];
}

/** What most messages do not have: relations, and what became of the message later. */
export interface Details {
  reply_to?: Seq;
  /** The first message of the thread. */
  thread?: Seq;
  mentions?: string[];
  /** The entry that changed the text last. */
  edited?: Seq;
  /** The entry that erased the message. */
  deleted?: Seq;
  reactions?: Tally[];
}

export interface Message extends Header, Details {
  text: string;
}

export interface PrivateMessage extends Omit<Header, "sender">, Details {
  from: string;
  to: string;
  text: string;
}

export interface Edited extends Header {
  target: Seq;
  /** Absent once the message was changed again or deleted. */
  text?: string;
  mentions?: string[];
}

export interface Deleted extends Header {
  target: Seq;
}

export interface Reacted extends Header {
  target: Seq;
  /** Empty once the message was deleted. */
  emoji: string;
  active: boolean;
  /** How many users had reacted like this then. */
  count: number;
}

export interface Pinned extends Header {
  target: Seq;
  active: boolean;
}

/** A room's settings; what is absent stays as it is. */
export interface Settings {
  title?: string;
  topic?: string;
  private?: boolean;
  /** How long a user waits between two messages, in milliseconds; 0: not at all. */
  slow_ms?: number;
}

export interface RoomChanged extends Header, Settings {}

export interface RoleChanged extends Header {
  user: string;
  /** Absent: none any more. */
  role?: Role;
}

/** What is done to a user; `none` takes a mute or a ban back. */
export type SanctionKind = "none" | "kick" | "mute" | "ban";

export interface Sanction {
  user: string;
  kind: SanctionKind;
  /** When a mute or a ban ends, in milliseconds since the Unix epoch; absent: when it is taken back. */
  until_ms?: number;
  reason?: string;
}

export interface Sanctioned extends Header, Sanction {}

/** A message that somebody reported. */
export interface Report {
  target: Seq;
  user: string;
  ts: number;
  reason?: string;
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

/** Somebody has got as far as `seq`, and so have `count` of `of` members. */
export interface CursorNotice {
  room: string;
  user: string;
  seq: Seq;
  count: number;
  of: number;
}

/** Where something is stored. */
export interface Stored {
  room: string;
  epoch: Epoch;
  seq: Seq;
  ts: number;
  dup: boolean;
  /** For a batch: how many messages there are, with consecutive numbers from `seq` on. */
  count?: number;
}

export interface MemberList {
  room: string;
  member_count: number;
  members: Member[];
}

export interface RoomSummary {
  room: string;
  member_count: number;
  joined: boolean;
  /** Messages of others after one's read cursor. */
  unread: number;
  title?: string;
  with?: string;
}

export interface RoomInfo extends Settings {
  room: string;
  roles: { user: string; role: Role }[];
  pins: Seq[];
  /** Mutes and bans that hold. */
  sanctions?: Sanction[];
}

export interface ReceiptList {
  room: string;
  seq: Seq;
  read: number;
  delivered: number;
  of: number;
  receipts: Receipt[];
}

/** A message that was found; the words in `snippet` stand between U+E000 and U+E001. */
export interface Hit {
  room: string;
  seq: Seq;
  sender: string;
  ts: number;
  snippet: string;
}

export interface Found {
  hits: Hit[];
  /** `before` of the next page. */
  next?: string;
}

export interface MessageStatus {
  room: string;
  cid: string;
  /** Absent: it is not stored. */
  stored?: Stored;
}

export interface Resync {
  room: string;
  reason: Unrecovered;
  epoch: Epoch;
  head: Seq;
  floor: Seq;
}

export interface TokenExpiring {
  /** When the connection ends unless a new token comes: milliseconds since 1970, on the server's clock. */
  expires_ms: number;
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
  /** The earlier request whose failure this one shares. */
  blocked_by?: number | string;
}
