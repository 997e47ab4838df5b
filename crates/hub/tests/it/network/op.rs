//! What may happen in a network.

use proptest::prelude::*;

/// Browser tabs and devices, each with one connection at a time; every third one is of one user.
pub const PLACES: u8 = 7;
/// Rooms: an old one, a new one, one that is not stored, and a private one.
pub const ROOMS: u8 = 4;

/// Most messages in a batch.
pub const MOST_AT_ONCE: u8 = 5;

/// Something that somebody does, or that happens to the store.
#[derive(Debug, Clone)]
pub enum Op {
    Join { place: u8, room: u8, history: u8, away: bool },
    JoinSince { place: u8, room: u8, seq: u8 },
    Resume { place: u8, room: u8 },
    More { place: u8, room: u8 },
    Stall { place: u8 },
    CatchUp { place: u8, room: u8 },
    Leave { place: u8, room: u8 },
    End { place: u8, lost: bool },
    Say { place: u8, room: u8 },
    Batch { place: u8, room: u8, count: u8 },
    SayAgain { place: u8 },
    Tell { place: u8, to: u8 },
    Edit { place: u8, room: u8, seq: u8 },
    Delete { place: u8, room: u8, seq: u8 },
    React { place: u8, room: u8, seq: u8, active: bool },
    Role { place: u8, of: u8, member: bool },
    Type { place: u8, room: u8, active: bool },
    Presence { place: u8, room: u8, away: bool },
    Read { place: u8, room: u8, seq: u8 },
    History { place: u8, room: u8 },
    Status { place: u8, room: u8 },
    Wait { seconds: u8 },
    Hold(u8),
    Answer { index: u8 },
    Fault(u8),
    Trim { room: u8, records: u8 },
    Rewind { room: u8, records: u8 },
    Survey { room: u8 },
}

pub fn any() -> impl Strategy<Value = Op> {
    prop::array::uniform4(prop::num::u8::ANY).prop_map(|[kind, a, b, c]| {
        let (place, room, flag) = (a % PLACES, b % ROOMS, c % 3 == 0);
        let seq = c % 32;
        match kind % 80 {
            0..=9 => Op::Join { place, room, history: c % 10, away: flag },
            10 => Op::JoinSince { place, room, seq },
            11..=14 => Op::Resume { place, room },
            15..=17 => Op::More { place, room },
            18..=19 => Op::Leave { place, room },
            20..=23 => Op::End { place, lost: !flag },
            24..=29 => Op::Say { place, room },
            30 => Op::Batch { place, room, count: 1 + c % MOST_AT_ONCE },
            31 => Op::SayAgain { place },
            32 => Op::Tell { place, to: b },
            33..=35 => Op::Edit { place, room, seq },
            36 => Op::Delete { place, room, seq },
            37..=39 => Op::React { place, room, seq, active: !flag },
            // Only alice may.
            40..=42 => Op::Role { place: 0, of: 1 + b % 2, member: flag },
            43 => Op::Type { place, room, active: !flag },
            44 => Op::Presence { place, room, away: flag },
            45 => Op::Read { place, room, seq },
            46 => Op::History { place, room },
            47 => Op::Status { place, room },
            48..=49 => Op::Wait { seconds: c % 12 },
            50..=51 => Op::Hold(c % 3),
            52..=57 => Op::Answer { index: c },
            58..=60 => Op::Fault(c % 5),
            // The check of access needs the whole log of the private room.
            61 => Op::Trim { room: room % 2, records: c % 8 },
            62 => Op::Rewind { room, records: c % 8 },
            63 => Op::Survey { room },
            64..=67 => Op::Stall { place },
            68..=71 => Op::CatchUp { place, room },
            _ => Op::Batch { place, room, count: MOST_AT_ONCE },
        }
    })
}
