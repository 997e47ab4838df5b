//! The search: which secrets stand in what was written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{DOORS, PANIC, PLAIN, token};

/// All that was planted, and all that was written.
pub(super) struct Search {
    /// What each is, and the text.
    pub(super) secrets: Vec<(String, String)>,
    /// Where it was written, and what.
    pub(super) written: Vec<(&'static str, String)>,
}

impl Search {
    pub(super) fn new() -> Self {
        let plain = PLAIN.map(|(name, secret)| (name.to_owned(), secret.to_owned()));
        let tokens = DOORS.map(|door| {
            // A token may be quoted without its beginning.
            let token = token(door);
            let signature = token.rsplit('.').next().expect("a signature").to_owned();
            (format!("token by {door}"), signature)
        });
        let mut secrets = [&plain[..], &tokens].concat();
        secrets.push(("text of a panic".into(), PANIC.into()));
        Self { secrets, written: Vec::new() }
    }

    pub(super) fn wrote(&mut self, place: &'static str, text: String) {
        self.written.push((place, text));
    }

    /// Names the places where a text stands, as it is or in another spelling.
    pub(super) fn places(&self, text: &str) -> Vec<&'static str> {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let forms = [text.to_owned(), hex, STANDARD_NO_PAD.encode(text), format!("{:?}", text.as_bytes())];
        let holds = |(_, written): &&(&str, String)| forms.iter().any(|form| written.contains(form));
        self.written.iter().filter(holds).map(|(place, _)| *place).collect()
    }
}
