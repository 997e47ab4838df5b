//! Places in a list, in a form that clients pass back and do not read.
//!
//! A cursor is no secret and gives no right: it is checked so that one that was made up, or belongs to
//! another list, is noticed instead of leading to a wrong place.

use std::fmt::Write as _;

use parlour_protocol::{ErrorCode, Refusal};
use sha2::{Digest as _, Sha256};

/// Bytes of the check.
const CHECK_BYTES: usize = 6;
/// Longest text of a cursor, in bytes.
const MOST_BYTES: usize = 512;

/// Writes a place in a list. Both texts are free of U+0000.
pub(super) fn write(list: &str, place: &str) -> String {
    let mut cursor = String::new();
    for byte in check(list, place).iter().chain(place.as_bytes()) {
        // Writing to a String does not fail.
        let _ = write!(cursor, "{byte:02x}");
    }
    cursor
}

/// Reads a place in a list.
///
/// # Errors
/// `invalid_cursor`.
pub(super) fn read(list: &str, cursor: &str) -> Result<String, Refusal> {
    decode(list, cursor).ok_or_else(|| {
        Refusal::because(ErrorCode::InvalidCursor, "cursor: pass on `next` of the page before, as it is")
    })
}

fn decode(list: &str, cursor: &str) -> Option<String> {
    let (digits, rest) = cursor.as_bytes().as_chunks::<2>();
    if cursor.len() > MOST_BYTES || !rest.is_empty() {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16).filter(|_| !c.is_ascii_uppercase());
    let bytes = digits.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let (shown, place) = bytes.split_at_checked(CHECK_BYTES)?;
    let place = std::str::from_utf8(place).ok()?;
    (shown == check(list, place)).then(|| place.to_owned())
}

fn check(list: &str, place: &str) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] = Sha256::digest(format!("parlour cursor\0{list}\0{place}")).into();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_only() {
        let cursor = write("messages\0general", "before 17");
        assert_eq!(read("messages\0general", &cursor).as_deref(), Ok("before 17"));
        let other = cursor.replace(&cursor[..1], if cursor.starts_with('0') { "1" } else { "0" });
        for (list, bad) in [
            ("messages\0other", cursor.as_str()),
            ("messages\0general", &other),
            ("messages\0general", &cursor[2..]),
            ("messages\0general", &cursor[1..]),
            ("messages\0general", ""),
            ("messages\0general", "17"),
            ("messages\0general", "zz"),
            ("messages\0general", &"0".repeat(600)),
        ] {
            assert_eq!(
                read(list, bad).map_err(|refusal| refusal.code),
                Err(ErrorCode::InvalidCursor),
                "{bad}"
            );
        }
    }
}
