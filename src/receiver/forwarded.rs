//! Who calls, where proxies stand before the receiver.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::settings::network::Network;

/// What each proxy adds the address to that it was called from, at the end.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The nearest address that is no proxy of ours. What is left of it anybody may have written.
pub fn caller(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(*address));
    if !is_proxy(&peer) {
        return peer;
    }
    let texts: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut source = peer;
    for text in texts.iter().rev().flat_map(|text| text.rsplit(',')) {
        let Some(before) = address(text.trim()) else { break };
        source = before;
        if !is_proxy(&before) {
            break;
        }
    }
    source
}

/// With or without a port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        caller(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn who_is_no_proxy_speaks_for_nobody_else() {
        assert_eq!(source("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(source("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(caller("192.0.2.1".parse().unwrap(), &HeaderMap::new(), &[]).to_string(), "192.0.2.1");
    }

    #[test]
    fn the_nearest_address_before_the_proxies_counts() {
        assert_eq!(source("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(source("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"]), "198.51.100.1", "the first is a lie");
        assert_eq!(source("10.0.0.1", &["203.0.113.9", "198.51.100.1"]), "198.51.100.1", "two headers are one");
        assert_eq!(source("::ffff:10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(source("10.0.0.1", &["198.51.100.1:80, fd00::1"]), "198.51.100.1");
    }

    #[test]
    fn a_proxy_that_names_nobody_is_itself_who_calls() {
        assert_eq!(source("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(source("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(source("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(source("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }
}
