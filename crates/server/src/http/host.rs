//! Which host a request is for (RFC 9110, section 7.2).

use axum::http::header::HOST;
use axum::http::request::Parts;
use parlour_protocol::{ErrorCode, Refusal};

/// Checks that a request names exactly one host, and one that is served here.
///
/// The check of the name protects against DNS rebinding: a page of `evil.example` whose name
/// suddenly leads to this machine still says `evil.example`. An empty list serves every name.
///
/// # Errors
/// `bad_handshake` or `misdirected`.
pub(crate) fn check(head: &Parts, served: &[String]) -> Result<(), Refusal> {
    let host = of(head)?;
    let name = name_of(host);
    if served.is_empty() || served.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(ErrorCode::Misdirected.into())
}

/// Returns the host of a request, with its port if it has one.
pub(crate) fn of(head: &Parts) -> Result<&str, Refusal> {
    let refuse = |message| Refusal::because(ErrorCode::BadHandshake, message);
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, None) = (hosts.next(), hosts.next()) else {
        return Err(refuse("the header `Host` is given twice"));
    };
    let host = host.ok_or_else(|| refuse("the header `Host` is missing"))?;
    let host = host.to_str().ok().filter(|host| is_authority(host));
    let host = host.ok_or_else(|| refuse("the header `Host` is malformed"))?;
    match head.uri.authority() {
        Some(authority) if authority.as_str() != host => Err(refuse("the URL and `Host` name two hosts")),
        _ => Ok(host),
    }
}

/// Returns the name without the port.
pub(crate) fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_authority(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    !name_of(host).is_empty() && host.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_not_part_of_the_name() {
        for (host, name) in [
            ("localhost:8080", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(name_of(host), name);
        }
        assert!(!is_authority(":80") && !is_authority("a/b") && !is_authority("a@b") && !is_authority(""));
    }
}
