//! Where the machines of a cluster are: what a user writes, and what they may listen on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::error::ClusterError;

/// `df://HOST:PORT` of a scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or number of its machine; an IPv6 number in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = ClusterError;

    fn from_str(text: &str) -> Result<Self, ClusterError> {
        let parts = text.strip_prefix("df://").and_then(|rest| rest.trim_end_matches('/').rsplit_once(':'));
        let port = parts.and_then(|(_, port)| port.parse().ok());
        let is_host = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            match inner {
                Some(number) => number.parse::<std::net::Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'),
            }
        };
        match (parts, port) {
            (Some((host, _)), Some(port)) if is_host(host) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(ClusterError::Address { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Refuses an address that a machine should not listen on: all interfaces at once; without TLS one that strangers
/// reach; with TLS the one behind it, on which Ballista listens ([`super`] says why).
pub fn check_listening(address: SocketAddr, has_tls: bool) -> Result<(), ClusterError> {
    let address = address.ip();
    if address.is_unspecified() {
        return Err(ClusterError::NoInterface { address });
    }
    match (has_tls, address.is_loopback(), is_private(address)) {
        (true, true, _) => Err(ClusterError::Loopback { address }),
        (false, false, false) => Err(ClusterError::Public { address }),
        _ => Ok(()),
    }
}

/// Addresses that are not routed beyond a house: private, shared (100.64/10) and link-local ones.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_written() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string()).map_err(|e| e.to_string());
        assert_eq!(read("df://10.0.0.1:50050"), Ok("10.0.0.1:50050".to_owned()));
        assert_eq!(read("df://scheduler.lab:50050/"), Ok("scheduler.lab:50050".to_owned()));
        assert_eq!(read("df://[fd00::1]:50050"), Ok("[fd00::1]:50050".to_owned()));
        for text in ["10.0.0.1:50050", "df://10.0.0.1", "df://:50050", "df://a/b:1", "df://a:99999", "http://a:1"] {
            assert!(read(text).is_err_and(|words| words.contains(text) && words.contains("df://HOST:PORT")), "{text}");
        }
    }

    #[test]
    fn nobody_listens_where_strangers_are() {
        let check = |address: &str, tls| check_listening(address.parse().expect("an address"), tls);
        for plain in ["127.0.0.1:1", "[::1]:1", "10.1.2.3:1", "192.168.0.9:1", "100.64.0.1:1", "[fd00::1]:1"] {
            assert!(check(plain, false).is_ok(), "{plain}");
        }
        for open in ["8.8.8.8:1", "100.128.0.1:1", "[2001:db8::1]:1"] {
            assert!(matches!(check(open, false), Err(ClusterError::Public { .. })), "{open}");
            assert!(check(open, true).is_ok(), "{open}");
        }
        for any in ["0.0.0.0:1", "[::]:1"] {
            assert!(matches!(check(any, true), Err(ClusterError::NoInterface { .. })), "{any}");
        }
        assert!(matches!(check("127.0.0.1:1", true), Err(ClusterError::Loopback { .. })));
    }
}
