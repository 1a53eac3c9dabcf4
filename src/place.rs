//! Where a peer is, as coarsely as it costs somebody something to be elsewhere too.
//!
//! Identities are free and ports are nearly so, but hosts and networks have to be rented. What must not be filled
//! by one stranger is therefore shared out by them: seats in the routing table, and connections.

use std::net::{IpAddr, Ipv4Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// The peer that an address names in its last component.
pub(crate) fn named_peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Whether an address begins with a name that has to be looked up.
pub(crate) fn begins_with_name(address: &Multiaddr) -> bool {
    matches!(
        address.iter().next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    )
}

/// One IPv4 address; of IPv6 the /64 that a household or a rented machine is given as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    V4(u32),
    V6(u64),
    /// Channels within this process: all of them are one host.
    Memory,
}

/// The network around a host: of IPv4 the /16, of IPv6 the /32 that a provider is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subnet {
    V4(u16),
    V6(u32),
    Memory,
    /// Wherever it is, the address does not tell: one behind a name or a relay.
    Untold,
}

/// A host and the network around it, as told by an address that a connection really has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// None where the address does not tell.
    pub(crate) host: Option<Host>,
    pub(crate) subnet: Subnet,
}

impl Place {
    /// Where the far end of a connection with this address is, or `None` where that is not counted. Loopback,
    /// private and link-local addresses and those within the process are counted only if `count_private` says so:
    /// a stranger cannot have one, unless something that forwards connections stands in between.
    pub(crate) fn of(address: &Multiaddr, count_private: bool) -> Option<Self> {
        if address.iter().any(|part| matches!(part, Protocol::P2pCircuit)) {
            return Some(Self { host: None, subnet: Subnet::Untold });
        }
        let ip = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
            Some(Protocol::Ip6(ip)) => ip.to_canonical(),
            Some(Protocol::Memory(_)) => {
                let place = Self { host: Some(Host::Memory), subnet: Subnet::Memory };
                return count_private.then_some(place);
            }
            _ => return Some(Self { host: None, subnet: Subnet::Untold }),
        };
        if !count_private && is_private(ip) {
            return None;
        }
        Some(match ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                Self {
                    host: Some(Host::V4(ip.to_bits())),
                    subnet: Subnet::V4(u16::from_be_bytes([a, b])),
                }
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments().map(u64::from);
                let [high, low] = [a << 16 | b, c << 16 | d];
                Self {
                    host: Some(Host::V6(high << 32 | low)),
                    // No more than the 32 bits that it was made of.
                    subnet: Subnet::V6(u32::try_from(high).unwrap_or(u32::MAX)),
                }
            }
        })
    }
}

/// Whether an address means a machine nearby, whoever reads it: loopback, RFC 1918 and RFC 4193, the space that a
/// carrier shares out (RFC 6598), link-local.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_carrier_shared(ip)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn is_carrier_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && b & 0b1100_0000 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str) -> Option<Place> {
        Place::of(&address.parse().unwrap(), false)
    }

    fn counted(address: &str) -> Place {
        place(address).unwrap()
    }

    #[test]
    fn ports_do_not_make_another_host_and_addresses_do_not_make_another_network() {
        let here = counted("/ip4/198.51.100.7/tcp/4001");
        assert_eq!(counted("/ip4/198.51.100.7/tcp/50123"), here);
        let neighbour = counted("/ip4/198.51.200.7/tcp/4001");
        assert_ne!(neighbour.host, here.host);
        assert_eq!(neighbour.subnet, here.subnet);
        assert_ne!(counted("/ip4/198.52.100.7/tcp/4001").subnet, here.subnet);
    }

    #[test]
    fn of_ipv6_a_host_is_a_64_and_a_network_a_32() {
        let here = counted("/ip6/2001:db8:1:2::1/tcp/1");
        assert_eq!(counted("/ip6/2001:db8:1:2:ffff:ffff:ffff:ffff/tcp/2"), here);
        let neighbour = counted("/ip6/2001:db8:1:3::1/tcp/1");
        assert_ne!(neighbour.host, here.host);
        assert_eq!(neighbour.subnet, here.subnet);
        assert_ne!(counted("/ip6/2001:db9:1:2::1/tcp/1").subnet, here.subnet);
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_the_same_host() {
        assert_eq!(counted("/ip6/::ffff:198.51.100.7/tcp/1"), counted("/ip4/198.51.100.7/tcp/1"));
        assert_eq!(place("/ip6/::ffff:192.168.0.7/tcp/1"), None);
    }

    #[test]
    fn machines_nearby_are_not_counted_unless_asked_for() {
        for address in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/172.31.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip4/100.127.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/memory/7",
        ] {
            assert_eq!(place(address), None, "{address}");
            let counted = Place::of(&address.parse().unwrap(), true).unwrap();
            assert!(counted.host.is_some(), "{address}");
        }
        for address in ["/ip4/172.32.0.1/tcp/1", "/ip4/100.128.0.1/tcp/1", "/ip6/2001::1/tcp/1"] {
            assert!(place(address).is_some(), "{address}");
        }
    }

    #[test]
    fn what_hides_its_place_shares_one() {
        let relay = "/ip4/198.51.100.7/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";
        assert_eq!(counted(relay), counted("/dns4/peer.example/tcp/1"));
        assert_eq!(counted(relay).host, None);
    }
}
