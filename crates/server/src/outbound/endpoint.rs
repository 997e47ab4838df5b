//! URLs that may be called.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use url::{Host, Url};

use super::OutboundError;

/// An `http` or `https` URL with a host and without a name and password in it.
///
/// Its host is written in the one way that everybody understands: `127.1` and `0x7f000001` are
/// `127.0.0.1` by now, so that what is checked is what is called.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    uri: Uri,
}

impl Endpoint {
    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Returns the URL without its path and query, which may hold a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the address, where the URL names one itself.
    #[must_use]
    pub fn address(&self) -> Option<std::net::IpAddr> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// Returns the whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn uri(&self) -> Uri {
        self.uri.clone()
    }
}

impl FromStr for Endpoint {
    type Err = OutboundError;

    fn from_str(text: &str) -> Result<Self, OutboundError> {
        let mut url = Url::parse(text).map_err(|_| OutboundError::Forbidden)?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_plain || url.host().is_none() {
            return Err(OutboundError::Forbidden);
        }
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|_| OutboundError::Forbidden)?;
        Ok(Self { url, uri })
    }
}

/// Shows the origin alone: a path may hold a secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_written_in_one_way() {
        for (text, address) in [
            ("http://127.1/", Some("127.0.0.1")),
            ("http://0x7f000001/", Some("127.0.0.1")),
            ("http://2130706433/", Some("127.0.0.1")),
            ("http://0177.0.0.1/", Some("127.0.0.1")),
            ("http://127.0.0.1./", Some("127.0.0.1")),
            ("http://[::ffff:7f00:1]/", Some("::ffff:127.0.0.1")),
            ("http://\u{ff11}27.0.0.1/", Some("127.0.0.1")),
            ("https://a.example/x?y#z", None),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(endpoint.address(), address.map(|address| address.parse().expect("valid")), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_and_secrets_not_shown() {
        for text in [
            "",
            "a",
            "/a",
            "ftp://a/",
            "file:///etc/passwd",
            "gopher://a/",
            "http://",
            "https://u:p@a/",
            "https://u@a/",
            "http://[fe80::1%25lo]/",
            "http://1.2.3.4.5/",
            "unix:/run/docker.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(OutboundError::Forbidden), "{text}");
        }
        let endpoint: Endpoint = "https://a.example:444/hook/s3cret?k=s3cret".parse().expect("valid");
        assert_eq!(format!("{endpoint:?}"), "https://a.example:444");
    }
}
