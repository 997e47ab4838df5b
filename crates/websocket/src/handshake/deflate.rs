//! Negotiation of permessage-deflate (RFC 7692 section 7.1).
//!
//! Context takeover is refused in both directions, which a server may impose on any offer: only
//! then can compressed frames be shared between receivers and compression states between
//! connections.

use super::extensions::{self, Extension};
use std::fmt;

/// What a client asks for. It also promises not to use context takeover itself.
pub const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// An agreement on permessage-deflate without context takeover. Displays as the value of the
/// `Sec-WebSocket-Extensions` header of the response:
///
/// ```
/// use parlour_websocket::handshake::deflate::negotiate;
///
/// let offers = ["permessage-deflate; client_max_window_bits; server_max_window_bits=10"];
/// let params = negotiate(offers.into_iter()).expect("an acceptable offer");
/// assert_eq!(
///     params.to_string(),
///     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
///      server_max_window_bits=10",
/// );
/// assert!(params.can_receive(10, usize::MAX) && !params.can_receive(12, 1025));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateParams {
    server_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// The largest window of messages to the client, from 8 to 15 bits.
    pub fn server_max_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(15)
    }

    /// Tells whether the client can receive a message of `message_bytes` (uncompressed) from a
    /// deflater of this window. If not, it gets the message uncompressed or from a deflater of a
    /// smaller window. A match never reaches back beyond the message, so short ones suit all.
    pub fn can_receive(&self, deflater_window_bits: u8, message_bytes: usize) -> bool {
        let window_bits = self.server_max_window_bits();
        deflater_window_bits <= window_bits || message_bytes <= 1 << window_bits
    }
}

impl fmt::Display for DeflateParams {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(OFFER)?;
        match self.server_max_window_bits {
            Some(bits) => write!(out, "; server_max_window_bits={bits}"),
            None => Ok(()),
        }
    }
}

/// Accepts the first acceptable offer in the `Sec-WebSocket-Extensions` headers of a request.
///
/// An offer is declined for an unknown, repeated or ill-valued parameter (section 7.1). A header
/// outside the grammar ends the search: the connection goes on without compression.
///
/// `client_max_window_bits` is not answered: our inflater takes every window.
pub fn negotiate<'h>(headers: impl Iterator<Item = &'h str>) -> Option<DeflateParams> {
    for header in headers {
        let offers = extensions::parse(header)?;
        if let Some(params) = offers.iter().filter_map(Parameters::read).next() {
            return Some(DeflateParams { server_max_window_bits: params.server_max_window_bits });
        }
    }
    None
}

/// A server's answer to [`OFFER`] that a client must not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answered the offer of extensions in a way that is not allowed")]
pub struct InvalidAnswer;

/// Reads the `Sec-WebSocket-Extensions` headers of the response to [`OFFER`], or to a request
/// without an offer.
///
/// # Errors
///
/// An extension or parameter that was not asked for, or context takeover (sections 7.1.1.1 and
/// 7.1.2.2).
pub fn accept_answer<'h>(
    offered: bool,
    headers: impl Iterator<Item = &'h str>,
) -> Result<Option<DeflateParams>, InvalidAnswer> {
    let mut answer = None;
    for header in headers {
        for extension in extensions::parse(header).ok_or(InvalidAnswer)? {
            let params = Parameters::read(&extension).ok_or(InvalidAnswer)?;
            let legal = offered && params.server_no_context_takeover && !params.client_window;
            if !legal || answer.is_some() {
                return Err(InvalidAnswer);
            }
            answer = Some(DeflateParams { server_max_window_bits: params.server_max_window_bits });
        }
    }
    Ok(answer)
}

/// The parameters of one permessage-deflate element, well-formed and each at most once.
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_window: bool,
}

impl Parameters {
    fn read(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != "permessage-deflate" {
            return None;
        }
        let mut found = Self::default();
        for &(name, value) in &extension.params {
            let repeated = match (name, value) {
                ("server_no_context_takeover", None) => {
                    std::mem::replace(&mut found.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    std::mem::replace(&mut found.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(bits)) => {
                    found.server_max_window_bits.replace(window_bits(bits)?).is_some()
                }
                ("client_max_window_bits", bits) => {
                    bits.map_or(Some(15), window_bits)?;
                    std::mem::replace(&mut found.client_window, true)
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(found)
    }
}

/// A decimal number from 8 to 15 without leading zeros (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let canonical = !value.starts_with(['0', '+']);
    value.parse().ok().filter(|bits| canonical && (8..=15).contains(bits))
}
