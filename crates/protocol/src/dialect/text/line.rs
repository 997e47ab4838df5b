//! The pieces of a line. Whatever users say or are called, nobody can forge a line of somebody else.

pub(super) fn put(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends a name, quoted where its characters also structure a line.
///
/// A user called `Alice: hi` must not look like Alice saying hi, nor `* Alice` like the server.
pub(super) fn name(name: &str, out: &mut Vec<u8>) {
    if name.starts_with(['[', '*', '!', '"']) || name.contains([':', '>', ',', '(', '#']) {
        serde_json::to_writer(out, name).expect("a Vec takes every byte");
    } else {
        put(name, out);
    }
}

/// Appends words of users in quotation marks.
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) {
    visible(&serde_json::Value::from(text).to_string(), out);
}

/// Appends what somebody said as one line: line breaks and characters that steer a terminal are
/// replaced by visible signs.
pub(super) fn visible(text: &str, out: &mut Vec<u8>) {
    // Nearly all text is plain. Without an early exit the first check takes many bytes at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (b' '..0x7f).contains(&byte));
    if is_plain || !text.chars().any(steers) {
        return put(text, out);
    }
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => put(" ⏎ ", out),
            '\t' => put(" ", out),
            // U+2400 begins the pictures of the control characters: ESC is shown as ␛.
            '\0'..='\u{1f}' => put_char(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'), out),
            '\u{7f}' => put("␡", out),
            c if steers(c) => put("\u{fffd}", out),
            c => put_char(c, out),
        }
    }
}

/// Whether a character moves the cursor, breaks the line or turns the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn put_char(c: char, out: &mut Vec<u8>) {
    put(c.encode_utf8(&mut [0; 4]), out);
}
