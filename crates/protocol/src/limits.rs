//! Limits that are part of the protocol: a client may rely on them whatever the configuration says.

/// Longest name of a room that a client may choose, in bytes of UTF-8.
pub const ROOM_NAME_BYTES: usize = 128;
/// Longest user id, in bytes of UTF-8.
pub const USER_ID_BYTES: usize = 64;
/// Longest client id of a message (`cid`), in bytes.
pub const CID_BYTES: usize = 64;
/// Longest textual request id, in bytes.
pub const REQUEST_ID_BYTES: usize = 64;
/// Longest presence text, in bytes.
pub const PRESENCE_TEXT_BYTES: usize = 140;
/// Most messages in one answer to `history`, or replayed by `join` outside development mode.
pub const HISTORY_MESSAGES: u32 = 500;
/// Messages that an answer to `history` holds unless `limit` says otherwise.
pub const HISTORY_DEFAULT: u32 = 50;
/// Most events that a resume replays at once; the rest comes in pages on demand.
pub const RESUME_EVENTS: u64 = 500;
/// Most messages in one `batch`.
pub const BATCH_MESSAGES: usize = 64;
/// Most users whom a message may mention.
pub const MENTIONS: usize = 50;
/// Longest reaction, in bytes.
pub const EMOJI_BYTES: usize = 32;
/// Most different reactions to one message.
pub const EMOJI_PER_MESSAGE: usize = 50;
/// Most users listed with a reaction; the count is always exact.
pub const REACTION_USERS: usize = 20;
/// Most pinned messages of a room.
pub const PINS: usize = 50;
/// Longest title of a room, in bytes.
pub const TITLE_BYTES: usize = 128;
/// Longest topic of a room, in bytes.
pub const TOPIC_BYTES: usize = 1_024;
/// Longest reason of a sanction or a report, in bytes.
pub const REASON_BYTES: usize = 256;
/// Longest time that users can be made to wait between two messages, in milliseconds.
pub const SLOW_MS: u32 = 21_600_000;
/// Longest time of a mute or a ban that ends by itself, in milliseconds: ten years.
pub const SANCTION_MS: u64 = 315_360_000_000;
/// Longest search query, in bytes.
pub const QUERY_BYTES: usize = 256;
/// Most messages in one answer to `search`.
pub const SEARCH_HITS: u32 = 100;
/// Messages that an answer to `search` holds unless `limit` says otherwise.
pub const SEARCH_DEFAULT: u32 = 20;
/// Most rooms that one connection may be in.
pub const ROOMS_PER_CONNECTION: usize = 512;
/// Most members listed in one answer; the count is always exact.
pub const MEMBERS_LISTED: usize = 500;
/// Most members listed by `joined` in a room that is too large for notices; `members` lists more.
pub const MEMBERS_GLIMPSED: usize = 20;
/// Most rooms listed in one answer.
pub const ROOMS_LISTED: usize = 500;
/// Bad commands within one window that end a connection with 1008 `too_many_errors`.
pub const BAD_COMMANDS: u32 = 10;
/// Window in which bad commands are counted, in milliseconds.
pub const BAD_COMMAND_WINDOW_MS: u64 = 60_000;
/// How long a typing notice lives without being renewed, in milliseconds.
pub const TYPING_MS: u64 = 6_000;
/// Longest reason in a close frame, in bytes (RFC 6455, section 5.5).
pub const CLOSE_REASON_BYTES: usize = 123;
