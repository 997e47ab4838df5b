//! Which pages may connect (RFC 6455, section 10.2).
//!
//! A browser sends cookies along whichever page asks, so the origin is what keeps a foreign page
//! from speaking as its visitor.

use axum::http::header::{COOKIE, ORIGIN};
use axum::http::request::Parts;
use parlour_protocol::{ErrorCode, Refusal};

use crate::config::Config;
use crate::http::host;

/// Checks the page that asks.
///
/// Without `Origin` it is no browser; that is fine unless it relies on cookies alone.
pub(crate) fn check(head: &Parts, config: &Config, has_bearer: bool) -> Result<(), Refusal> {
    let mut origins = head.headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(_), Some(_)) => {
            Err(Refusal::because(ErrorCode::BadHandshake, "the header `Origin` is given twice"))
        }
        (Some(origin), None) => {
            let origin = origin.to_str().unwrap_or_default();
            match is_allowed(origin, host::of(head)?, config) {
                true => Ok(()),
                false => Err(ErrorCode::OriginForbidden.into()),
            }
        }
        (None, _) if head.headers.contains_key(COOKIE) && !has_bearer => Err(Refusal::because(
            ErrorCode::OriginForbidden,
            "a request with cookies and without `Origin` proves nothing",
        )),
        (None, _) => Ok(()),
    }
}

fn is_allowed(origin: &str, host: &str, config: &Config) -> bool {
    let access = &config.access;
    access.origins.iter().any(|allowed| allowed == origin)
        || (access.loopback_origins && is_loopback(origin))
        || is_own(origin, host, config)
}

fn is_loopback(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://") else {
        return false;
    };
    let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
    matches!(name, "localhost" | "127.0.0.1") && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether this very server served the page. Only believed where the names of the server are
/// configured, because otherwise any name that leads here would do.
fn is_own(origin: &str, host: &str, config: &Config) -> bool {
    let scheme = if config.is_encrypted() { "https://" } else { "http://" };
    !config.access.hosts.is_empty()
        && origin.strip_prefix(scheme).is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}
