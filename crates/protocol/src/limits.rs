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
/// Most events that a resume replays before it answers `too_far`.
pub const RESUME_EVENTS: u64 = 500;
/// Most rooms that one connection may be in.
pub const ROOMS_PER_CONNECTION: usize = 512;
/// Most members listed in one answer; the count is always exact.
pub const MEMBERS_LISTED: usize = 500;
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
