//! What attackers send.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use parlour_server::identity::signing::SigningKey;
use parlour_server::identity::{Algorithm, token};
use parlour_websocket::{Deflater, Opcode, encode};
use rcgen::KeyPair;
use serde_json::json;

use super::kind::ROOMS_PER_TURN;

/// What a bomb becomes, in MiB.
const BOMB_MIB: usize = 100;
/// Bytes of the bomb that a server with default limits still takes, and inflates.
const TAKEN_BYTES: usize = 72 * 1024;
/// Fragments of a drip that go out in one write.
const FRAGMENTS: usize = 10;
/// Pings that go out in one write.
const PINGS: usize = 10;
/// Bad tokens, which are used in turn.
const TOKENS: usize = 64;
/// The key and its file in the configuration of a server of ours.
const KEY_ID: &str = "bench";
const NAMES: [&str; 2] = ["https://bench.example", "parlour-bench"];

/// Returns the first or further fragments of a message that never ends.
pub(super) fn drip(is_first: bool) -> Vec<u8> {
    let mut frames = [0x00, 0x81, 0, 0, 0, 0, b'x'].repeat(FRAGMENTS);
    frames[0] = u8::from(is_first);
    frames
}

/// Returns some pings.
pub(super) fn pings() -> Vec<u8> {
    [0x89, 0x80, 0, 0, 0, 0].repeat(PINGS)
}

/// Returns a compressed message of zeros: as it is, and cut to what a server still inflates.
///
/// # Errors
/// None: zeros can be compressed.
pub(super) fn bombs() -> anyhow::Result<[Vec<u8>; 2]> {
    let mut deflater = Deflater::new(9, 15);
    // What follows the end of a flush begins anew, so the parts can be joined (RFC 7692, section 7.2.1).
    let part = deflater.deflate(&vec![0; 1024 * 1024]).context("zeros are not compressed")?;
    let whole = vec![part; BOMB_MIB].join(&[0, 0, 0xff, 0xff][..]);
    let taken = &whole[..whole.len().min(TAKEN_BYTES)];
    Ok([&whole[..], taken].map(|payload| {
        let mut frame = Vec::new();
        encode::masked_frame(&mut frame, Opcode::Text, payload, [0; 4]);
        // RSV1: the message is compressed.
        frame[0] |= 0x40;
        frame
    }))
}

/// Returns the frames that enter and leave some rooms; `first` counts the rooms.
pub(super) fn rooms(first: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in first..first + ROOMS_PER_TURN {
        let room = format!("attack-{}-{number}", std::process::id());
        for (command, more) in [("join", r#","history":0"#), ("leave", "")] {
            let text = format!(r#"{{"type":"{command}","id":1,"payload":{{"room":"{room}"{more}}}}}"#);
            encode::masked_frame(&mut frames, Opcode::Text, text.as_bytes(), [0; 4]);
        }
    }
    frames
}

/// Tokens that are right in everything but the signature, and a configuration that has to find out.
#[derive(Debug)]
pub(super) struct Forgery {
    directory: PathBuf,
    pub(super) tokens: Vec<String>,
}

impl Forgery {
    /// Makes two keys, one to be believed and one to sign with.
    ///
    /// # Errors
    /// A disk that takes no files.
    pub(super) fn new() -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("parlour-bench-keys-{}", std::process::id()));
        // From here on it is removed, whatever happens.
        let mut forgery = Self { directory, tokens: Vec::new() };
        std::fs::create_dir_all(&forgery.directory)?;
        let ([believed, other], [issuer, audience]) = (["believed.pem", "other.pem"], NAMES);
        let [believed, other] = [believed, other].map(|name| forgery.directory.join(name));
        std::fs::write(&believed, KeyPair::generate()?.public_key_pem())?;
        write_private(&other, &KeyPair::generate()?.serialize_pem())?;
        let key = format!(
            "[auth]\nissuer = {issuer:?}\naudience = {audience:?}\n[[auth.key]]\nid = {KEY_ID:?}\n\
             algorithm = \"ES256\"\npublic_key_file = {believed:?}\n"
        );
        std::fs::write(forgery.config(), key)?;
        let key = SigningKey::from_file(Some(KEY_ID), Algorithm::ES256, &other)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let sign = |number| {
            let claims = json!({
                "iss": issuer, "aud": audience, "sub": format!("attacker-{number}"),
                "iat": now, "exp": now + 3_600, "jti": token::fresh_id(),
            });
            key.sign("JWT", &claims)
        };
        forgery.tokens = (0..TOKENS).map(sign).collect::<Result<_, _>>()?;
        Ok(forgery)
    }

    /// Returns the file with the configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("parlour.toml")
    }
}

impl Drop for Forgery {
    fn drop(&mut self) {
        // It holds nothing that anybody wants.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// No key is taken that others may read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use parlour_websocket::{InflateError, Inflater};

    use super::*;

    #[test]
    fn a_bomb_is_small_and_becomes_large() {
        let [whole, taken] = bombs().expect("bombs");
        assert!(whole.len() < 128 * 1024 && taken.len() <= TAKEN_BYTES + 14, "{}", whole.len());
        // A masked frame of this size has a header of 14 bytes.
        let mut inflater = Inflater::new();
        let inflated = inflater.inflate(&whole[14..], BOMB_MIB << 20).expect("valid").len();
        assert_eq!(inflated, BOMB_MIB << 20);
        let most = inflater.inflate(&taken[14..], 1 << 20).expect_err("too large");
        assert_eq!(most, InflateError::TooLarge);
    }
}
