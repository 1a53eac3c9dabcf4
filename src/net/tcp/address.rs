//! Between multiaddrs and socket addresses.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// Reads `/ip4|ip6/<ip>/tcp/<port>`, with or without a `/p2p/<peer>` behind it.
///
/// The peer is whom the caller means to meet at the address, which is checked when the connection is
/// authenticated and says nothing about the socket. Anything else behind the port (`/ws`, `/tls`,
/// `/p2p-circuit`) names a different transport, so that the address is not ours to open.
pub(super) fn to_socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut protocols = address.iter();
    let ip = match protocols.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Some(Protocol::Tcp(port)) = protocols.next() else { return None };
    match (protocols.next(), protocols.next()) {
        (None, _) | (Some(Protocol::P2p(_)), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Like [`to_socket_addr`], for an address somebody can be reached at: it has an IP and a port.
pub(super) fn to_remote_addr(address: &Multiaddr) -> Option<SocketAddr> {
    to_socket_addr(address).filter(|addr| addr.port() != 0 && !addr.ip().is_unspecified())
}

/// Writes `/ip4|ip6/<ip>/tcp/<port>`.
pub(super) fn to_multiaddr(addr: SocketAddr) -> Multiaddr {
    Multiaddr::from(addr.ip()).with(Protocol::Tcp(addr.port()))
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_peer_behind_the_port_is_no_part_of_the_socket_address() {
        let peer = PeerId::random();
        let address: Multiaddr = format!("/ip4/192.0.2.1/tcp/80/p2p/{peer}").parse().unwrap();
        assert_eq!(to_socket_addr(&address), Some("192.0.2.1:80".parse().unwrap()));
    }

    #[test]
    fn addresses_of_other_transports_are_refused() {
        let peer = PeerId::random();
        for other in [
            "/ip4/127.0.0.1".to_string(),
            "/tcp/80".into(),
            "/tcp/80/ip4/127.0.0.1".into(),
            "/ip4/127.0.0.1/udp/80".into(),
            "/ip4/127.0.0.1/udp/80/quic-v1".into(),
            "/ip4/127.0.0.1/tcp/80/ws".into(),
            "/ip4/127.0.0.1/tcp/80/tcp/81".into(),
            "/ip6zone/eth0/ip6/fe80::1/tcp/80".into(),
            "/dns4/example.com/tcp/80".into(),
            "/memory/80".into(),
            format!("/ip4/127.0.0.1/tcp/80/p2p/{peer}/p2p-circuit"),
            format!("/p2p/{peer}"),
        ] {
            assert_eq!(to_socket_addr(&other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(to_socket_addr(&Multiaddr::empty()), None);
    }

    #[test]
    fn nobody_is_reached_at_a_wildcard_or_at_port_zero() {
        for address in ["/ip4/0.0.0.0/tcp/80", "/ip6/::/tcp/80", "/ip4/127.0.0.1/tcp/0"] {
            let address: Multiaddr = address.parse().unwrap();
            assert!(to_socket_addr(&address).is_some());
            assert_eq!(to_remote_addr(&address), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ip: IpAddr, port: u16) {
            let addr = SocketAddr::new(ip, port);
            prop_assert_eq!(to_socket_addr(&to_multiaddr(addr)), Some(addr));
        }
    }
}
