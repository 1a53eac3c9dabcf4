//! From where an address can be reached, and so to whom it is worth telling and from whom worth keeping.
//!
//! The ranges are those of the registries of special-purpose addresses (RFC 6890, as IANA keeps them).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// From where an address can be reached: from more places, the further down it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// From nowhere, or it names no host at all: unspecified, multicast, reserved, or without a port.
    Nowhere,
    /// From the same link, by whoever knows its own name for it: that is no part of what others tell.
    Zoned,
    /// From the same link.
    Link,
    /// From the same machine.
    Loopback,
    /// From networks set up for documentation and measurements.
    Documentation,
    /// From the same private network, also that of a carrier.
    Private,
    /// From within this process.
    Process,
    /// From wherever the name leads to the same host. It may be a neighbour's or the whole world's.
    Named,
    /// From everywhere.
    Global,
}

impl Scope {
    /// From where this address can be reached.
    pub(crate) fn of(address: &Multiaddr) -> Self {
        let mut parts = address.iter();
        let ip = match parts.next() {
            Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
            Some(Protocol::Ip6(ip)) => ip.to_canonical(),
            Some(Protocol::Memory(_)) => return Self::Process,
            // The zone means something to the machine that it is of, and to nobody else.
            Some(Protocol::Ip6zone(_)) => return Self::Zoned,
            Some(
                Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
                | Protocol::Dnsaddr(_)
                | Protocol::Onion(..)
                | Protocol::Onion3(_)
                | Protocol::Garlic32(_)
                | Protocol::Garlic64(_),
            ) => return Self::Named,
            Some(_) | None => return Self::Nowhere,
        };
        match parts.next() {
            Some(Protocol::Tcp(1..) | Protocol::Udp(1..)) => Self::of_ip(ip),
            _ => Self::Nowhere,
        }
    }

    fn of_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [192, 0, 0, 9 | 10] => Self::Global,
            [0 | 224..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] => Self::Nowhere,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::Link,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18 | 19, ..] => {
                Self::Documentation
            }
            _ => Self::Global,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // An IPv4 address behind a translator.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
                Self::of_v4(Ipv4Addr::new(a, b, c, d))
            }
            // An IPv4 address at the end of a tunnel (RFC 3056).
            [0x2002, high, low, ..] => {
                let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
                match Self::of_v4(Ipv4Addr::new(a, b, c, d)) {
                    Self::Global => Self::Global,
                    _ => Self::Nowhere,
                }
            }
            [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::Zoned,
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2001, 2, 0, ..] => {
                Self::Documentation
            }
            // Identifiers that are not routed, and ways to say "discard".
            [0x2001, 0x10..=0x2f, ..] | [0x100, 0, 0, 0 | 1, ..] | [0x5f00, ..] => Self::Nowhere,
            // What is neither assigned nor a translator's is not routed.
            [0x2000..=0x3fff, ..] => Self::Global,
            _ => Self::Nowhere,
        }
    }

    /// Whether an address of this scope can be reached by whoever is at the far end of a connection of that scope, and
    /// by this node, if it is the far end's own.
    pub(crate) fn is_of_use_over(self, connection: Self) -> bool {
        match self {
            Self::Global | Self::Named => true,
            Self::Nowhere | Self::Zoned => false,
            Self::Link => connection == Self::Link,
            // Who was reached by its name may be anywhere. It knows better, and keeps nothing that is of no use to it.
            Self::Loopback => matches!(connection, Self::Loopback | Self::Process | Self::Named),
            // Both ends are on one machine, from which all its networks can be reached.
            Self::Private => matches!(
                connection,
                Self::Private
                    | Self::Loopback
                    | Self::Process
                    | Self::Link
                    | Self::Zoned
                    | Self::Named
            ),
            Self::Documentation => {
                matches!(connection, Self::Documentation | Self::Loopback | Self::Process)
            }
            Self::Process => matches!(connection, Self::Process),
        }
    }
}

/// Those of these addresses that are of use over a connection, the ones that reach furthest first, each once.
pub(crate) fn of_use(
    addresses: impl IntoIterator<Item = Multiaddr>,
    connection: Scope,
) -> Vec<Multiaddr> {
    let mut ranked: Vec<(Scope, Multiaddr)> = Vec::new();
    for address in addresses {
        let scope = Scope::of(&address);
        if scope.is_of_use_over(connection) && ranked.iter().all(|(_, known)| *known != address) {
            ranked.push((scope, address));
        }
    }
    ranked.sort_by_key(|(scope, _)| std::cmp::Reverse(*scope));
    ranked.into_iter().map(|(_, address)| address).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(ip: &str) -> Scope {
        Scope::of(&Multiaddr::from(ip.parse::<IpAddr>().unwrap()).with(Protocol::Tcp(4001)))
    }

    /// Every range of the registries, by its first and its last address.
    #[test]
    fn every_special_range_is_known_from_its_first_to_its_last_address() {
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Scope::Nowhere),
            ("10.0.0.0", "10.255.255.255", Scope::Private),
            ("100.64.0.0", "100.127.255.255", Scope::Private),
            ("127.0.0.0", "127.255.255.255", Scope::Loopback),
            ("169.254.0.0", "169.254.255.255", Scope::Link),
            ("172.16.0.0", "172.31.255.255", Scope::Private),
            ("192.0.0.0", "192.0.0.8", Scope::Nowhere),
            ("192.0.0.9", "192.0.0.10", Scope::Global),
            ("192.0.0.11", "192.0.0.255", Scope::Nowhere),
            ("192.0.2.0", "192.0.2.255", Scope::Documentation),
            ("192.31.196.0", "192.31.196.255", Scope::Global),
            ("192.52.193.0", "192.52.193.255", Scope::Global),
            ("192.88.99.0", "192.88.99.255", Scope::Nowhere),
            ("192.168.0.0", "192.168.255.255", Scope::Private),
            ("192.175.48.0", "192.175.48.255", Scope::Global),
            ("198.18.0.0", "198.19.255.255", Scope::Documentation),
            ("198.51.100.0", "198.51.100.255", Scope::Documentation),
            ("203.0.113.0", "203.0.113.255", Scope::Documentation),
            ("224.0.0.0", "239.255.255.255", Scope::Nowhere),
            ("240.0.0.0", "255.255.255.255", Scope::Nowhere),
            ("::", "::", Scope::Nowhere),
            ("::1", "::1", Scope::Loopback),
            ("::2", "::fffe:ffff:ffff", Scope::Nowhere),
            ("::ffff:127.0.0.0", "::ffff:127.255.255.255", Scope::Loopback),
            ("::ffff:10.0.0.0", "::ffff:10.255.255.255", Scope::Private),
            ("::ffff:8.8.8.8", "::ffff:9.9.9.9", Scope::Global),
            ("64:ff9b::a00:0", "64:ff9b::aff:ffff", Scope::Private),
            ("64:ff9b::808:808", "64:ff9b::909:909", Scope::Global),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Scope::Private),
            ("100::", "100::1:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Global),
            ("2001:1::1", "2001:1::3", Scope::Global),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", Scope::Documentation),
            ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Global),
            ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", Scope::Global),
            ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Documentation),
            ("2002::", "2002:ff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("2002:808:808::", "2002:808:808:ffff:ffff:ffff:ffff:ffff", Scope::Global),
            ("2002:a00::", "2002:aff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("2002:7f00::", "2002:7fff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", Scope::Global),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Documentation),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Private),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Zoned),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Private),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Nowhere),
        ] {
            assert_eq!((scope(first), scope(last)), (expected, expected), "{first} to {last}");
        }
    }

    #[test]
    fn what_lies_between_the_special_ranges_is_global() {
        for ip in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::1",
            "2001:30::1",
            "2001:db7::1",
            "2001:db9::1",
            "2606:4700::1",
            "3fff:1000::1",
        ] {
            assert_eq!(scope(ip), Scope::Global, "{ip}");
        }
    }

    #[test]
    fn what_names_no_host_is_of_no_use_and_a_name_may_be() {
        for (text, expected) in [
            ("", Scope::Nowhere),
            ("/ip4/8.8.8.8/tcp/0", Scope::Nowhere),
            ("/ip6/2606:4700::1/udp/0/quic-v1", Scope::Nowhere),
            ("/ip6zone/eth0/ip6/fe80::1/tcp/1", Scope::Zoned),
            ("/ip4/8.8.8.8", Scope::Nowhere),
            ("/tcp/4001", Scope::Nowhere),
            ("/unix/run", Scope::Nowhere),
            ("/p2p/12D3KooWBmwkafWE2fqfzS96VoTZgpGp6aJsF4N6deMPpE8NSrZf", Scope::Nowhere),
            ("/dns4/example.org/tcp/4001", Scope::Named),
            ("/dnsaddr/example.org", Scope::Named),
            ("/memory/7", Scope::Process),
        ] {
            assert_eq!(Scope::of(&text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_told_to_those_who_can_reach_it() {
        let of = |ip: &str| -> Multiaddr { format!("/{ip}/tcp/1").parse().unwrap() };
        let [global, private, test, link, zoned, loopback] = [
            "ip4/8.8.8.8",
            "ip4/10.0.0.1",
            "ip4/192.0.2.2",
            "ip4/169.254.0.1",
            "ip6/fe80::1",
            "ip4/127.0.0.1",
        ]
        .map(of);
        let all = [&loopback, &zoned, &link, &test, &private, &global].map(Clone::clone);
        for (connection, expected) in [
            (Scope::Global, vec![&global]),
            (Scope::Named, vec![&global, &private, &loopback]),
            (Scope::Private, vec![&global, &private]),
            (Scope::Documentation, vec![&global, &test]),
            (Scope::Link, vec![&global, &private, &link]),
            (Scope::Zoned, vec![&global, &private]),
            (Scope::Loopback, vec![&global, &private, &test, &loopback]),
            (Scope::Process, vec![&global, &private, &test, &loopback]),
        ] {
            let told = of_use(all.clone(), connection);
            assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{connection:?}");
        }
    }

    fn any_address() -> impl Strategy<Value = Multiaddr> {
        let special = prop::sample::select(vec![
            "8.8.8.8",
            "9.9.9.9",
            "10.0.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "192.0.2.1",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "2606:4700::1",
            "2001:db8::1",
        ]);
        let special = special.prop_map(|ip| ip.parse::<IpAddr>().unwrap());
        let ip = prop_oneof![
            special,
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        ];
        (ip, 0..4_u16).prop_map(|(ip, port)| Multiaddr::from(ip).with(Protocol::Tcp(port)))
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        any_address().prop_map(|address| Scope::of(&address))
    }

    proptest! {
        #[test]
        fn no_global_address_gives_way_to_one_that_reaches_less_far(
            told in prop::collection::vec(any_address(), 0..40),
            connection in any_scope(),
            most in 0..20_usize,
        ) {
            let kept: Vec<Multiaddr> = of_use(told.clone(), connection).into_iter().take(most).collect();
            let is_global = |address: &&Multiaddr| Scope::of(address) == Scope::Global;
            let left_out = told.iter().filter(is_global).any(|address| !kept.contains(address));
            if left_out {
                prop_assert!(kept.len() == most && kept.iter().all(|address| is_global(&address)));
            }
            prop_assert!(kept.iter().all(|address| Scope::of(address).is_of_use_over(connection)));
        }
    }
}
