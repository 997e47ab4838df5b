//! What a publisher writes at the beginning of each text: which message of which room this is, and
//! when it was due. 32 digits, so that every dialect carries it as it is.

use anyhow::ensure;

/// Bytes of a stamp, the shortest text of a message that is measured.
pub(crate) const STAMP_BYTES: usize = 32;

/// The beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts the messages of the room from 1.
    pub(crate) counter: u64,
    /// The index of the room.
    pub(crate) room: u64,
    /// When the message was due, in microseconds of the clock of the engine.
    pub(crate) due_us: u64,
}

impl Stamp {
    /// Reads the beginning of a text; `None` if no stamp is there.
    #[inline]
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let stamp: &[u8; STAMP_BYTES] = text.first_chunk()?;
        let (eights, _) = stamp.as_chunks::<8>();
        let [counter, room, high, low] = *eights else {
            return None;
        };
        let due_us = eight_digits(high)? * 100_000_000 + eight_digits(low)?;
        Some(Self { counter: eight_digits(counter)?, room: eight_digits(room)?, due_us })
    }

    /// Writes over the beginning of a text.
    ///
    /// # Errors
    /// More than 10^8 - 1 messages or rooms: they have 8 digits.
    pub(crate) fn write(self, text: &mut [u8]) -> anyhow::Result<()> {
        ensure!(self.counter.max(self.room) < 100_000_000, "more than 10^8 messages in one room");
        put_digits(&mut text[..8], self.counter);
        put_digits(&mut text[8..16], self.room);
        put_digits(&mut text[16..STAMP_BYTES], self.due_us);
        Ok(())
    }
}

/// Fills all bytes with the last digits of a number.
pub(crate) fn put_digits(bytes: &mut [u8], mut number: u64) {
    for byte in bytes.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads eight digits at once: neighbours are joined to pairs, pairs to fours, fours to the number.
#[inline]
fn eight_digits(bytes: [u8; 8]) -> Option<u64> {
    const HIGH_HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let word = u64::from_le_bytes(bytes);
    // A digit has a high half of 3, and still has it with 6 added.
    let with_six = word.wrapping_add(0x0606_0606_0606_0606);
    if word & HIGH_HALVES != ZEROS || with_six & HIGH_HALVES != ZEROS {
        return None;
    }
    let digits = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(2_561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(42_949_672_960_001) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back() {
        let mut text = [b'x'; 40];
        for (counter, room, due_us) in [(1, 0, 0), (99_999_999, 12_345_678, 9_999_999_999_999_999)] {
            let stamp = Stamp { counter, room, due_us };
            stamp.write(&mut text).expect("eight digits");
            assert_eq!(Stamp::read(&text), Some(stamp));
        }
        let too_many = Stamp { counter: 100_000_000, room: 0, due_us: 0 };
        assert!(too_many.write(&mut text).is_err());
    }

    #[test]
    fn other_texts_have_no_stamp() {
        assert_eq!(Stamp::read(b"0000000100000000000000000000000"), None);
        for at in 0..STAMP_BYTES {
            for other in [b'/', b':', b'x', b' ', 0xb0] {
                let mut text = [b'7'; STAMP_BYTES];
                text[at] = other;
                assert_eq!(Stamp::read(&text), None, "{other:#x} at {at}");
            }
        }
    }
}
