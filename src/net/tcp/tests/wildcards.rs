//! What a listener on `0.0.0.0` or `::` announces.

use std::collections::BTreeSet;

use super::*;

/// Listens on `wildcard` until all of `expected` is announced.
async fn announced(wildcard: &str, mut expected: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    let mut transport = transport();
    let (_, first) = listen(&mut transport, wildcard).await;
    let port = socket_addr(&first).port();
    let mut seen = BTreeSet::from([socket_addr(&first).ip()]);
    expected.retain(|ip| !seen.contains(ip));
    while !expected.is_empty() {
        let addr = socket_addr(&next(&mut transport).await.into_new_address().unwrap());
        assert_eq!(addr.port(), port);
        assert!(seen.insert(addr.ip()), "{addr} is announced twice");
        expected.remove(&addr.ip());
    }
    seen
}

#[test]
fn an_ipv4_wildcard_is_announced_as_the_addresses_of_the_interfaces() {
    let seen = run(announced("/ip4/0.0.0.0/tcp/0", [Ipv4Addr::LOCALHOST.into()].into()));
    for ip in seen {
        assert!(ip.is_ipv4() && !ip.is_unspecified());
        std::net::UdpSocket::bind((ip, 0)).expect("an address of this machine");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_ipv6_wildcard_is_announced_as_the_addresses_of_the_interfaces() {
    let Ok(table) = std::fs::read_to_string("/proc/net/if_inet6") else { return };
    let expected: BTreeSet<IpAddr> = table
        .lines()
        .filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok())
        .map(|bits| Ipv6Addr::from(bits).into())
        .collect();
    if has_ipv6() && !expected.is_empty() {
        assert_eq!(run(announced("/ip6/::/tcp/0", expected.clone())), expected);
    }
}

#[test]
fn without_an_interface_watcher_loopback_is_announced_and_connections_are_accepted() {
    run(async {
        let mut there = transport();
        let id = ListenerId::next();
        there.listen_on(id, "/ip4/0.0.0.0/tcp/0".parse().unwrap()).unwrap();
        let denied = Err(io::ErrorKind::PermissionDenied.into());
        let interfaces = Interfaces::with_watcher(Ipv4Addr::UNSPECIFIED.into(), denied);
        there.listeners[0].set_interfaces(interfaces);

        let TransportEvent::ListenerError { listener_id, error } = next(&mut there).await else {
            panic!("the error comes first")
        };
        assert_eq!((listener_id, error.kind()), (id, io::ErrorKind::PermissionDenied));
        let address = next(&mut there).await.into_new_address().unwrap();
        assert_eq!(socket_addr(&address).ip(), Ipv4Addr::LOCALHOST);
        assert!(drain(&mut there).is_empty(), "the error is reported once");
        connect(&mut transport(), NEW, &mut there, &address).await;
    });
}
