//! Which client a trusted proxy speaks for.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::admission::Admission;

/// Returns the last address in `X-Forwarded-For` that no trusted proxy of ours added.
///
/// What stands before it was written by the client and proves nothing.
pub(crate) fn client(headers: &HeaderMap, admission: &Admission) -> Option<IpAddr> {
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let addresses = hops.iter().rev().map_while(|hop| hop.parse().ok());
    addresses.into_iter().find(|address| !admission.is_trusted_proxy(*address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;

    #[test]
    fn the_last_hop_outside_the_proxies_counts() {
        let mut config = Config::dev();
        config.access.trusted_proxies = vec!["10.0.0.0/8".parse().expect("valid")];
        let admission = Admission::new(&config.limits, &config.access, Clock::start());
        let client = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", value.parse().expect("valid"));
            client(&headers, &admission).map(|address| address.to_string())
        };
        assert_eq!(client("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(client("1.2.3.4, 192.0.2.7, 10.0.0.9").as_deref(), Some("192.0.2.7"));
        assert_eq!(client("192.0.2.7, nonsense, 10.0.0.9"), None);
        assert_eq!(client("10.0.0.8, 10.0.0.9"), None);
    }
}
