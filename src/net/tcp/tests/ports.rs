//! Who holds a port, and from which one a dial leaves.

use super::*;

#[test]
fn both_families_can_listen_on_one_port() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let mut there = transport();
        let (_, v4) = listen(&mut there, "/ip4/0.0.0.0/tcp/0").await;
        let port = socket_addr(&v4).port();
        listen(&mut there, &format!("/ip6/::/tcp/{port}")).await;
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let address = multiaddr((ip, port));
            let (_, accepted) = connect(&mut transport(), NEW, &mut there, &address).await;
            assert_eq!(accepted.local_addr().unwrap().ip(), ip);
        }
    });
}

#[test]
fn a_port_is_never_shared_by_two_listeners() {
    run(async {
        let mut first = transport();
        let (_, address) = listen(&mut first, V4).await;
        for other in [&mut first, &mut transport()] {
            match other.listen_on(ListenerId::next(), address.clone()) {
                Err(TransportError::Other(error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

/// Dials from a node that listens on `own`, and returns the listening port and the one dialed from.
async fn ports(mut here: Transport, own: &str, opts: DialOpts, remote: &str) -> (u16, u16) {
    let mut there = transport();
    let (_, own) = listen(&mut here, own).await;
    let (_, address) = listen(&mut there, remote).await;
    let (_, accepted) = connect(&mut here, opts, &mut there, &address).await;
    (socket_addr(&own).port(), accepted.peer_addr().unwrap().port())
}

#[cfg(unix)]
#[test]
fn a_dial_leaves_from_the_listening_port() {
    run(async {
        for own in [V4, "/ip4/0.0.0.0/tcp/0"] {
            let (listening, dialing) = ports(transport(), own, REUSE, V4).await;
            assert_eq!(listening, dialing, "{own}");
        }
        if has_ipv6() {
            for own in [V6, "/ip6/::/tcp/0"] {
                let (listening, dialing) = ports(transport(), own, REUSE, V6).await;
                assert_eq!(listening, dialing, "{own}");
            }
        }
    });
}

#[test]
fn a_dial_leaves_from_a_new_port_if_it_has_to() {
    run(async {
        let (listening, dialing) = ports(transport(), V4, NEW, V4).await;
        assert_ne!(listening, dialing, "the dial asks for it");

        let alone = Transport::new(Config::new().with_port_reuse(false));
        let (listening, dialing) = ports(alone, V4, REUSE, V4).await;
        assert_ne!(listening, dialing, "the configuration asks for it");

        if has_ipv6() {
            let (listening, dialing) = ports(transport(), V6, REUSE, V4).await;
            assert_ne!(listening, dialing, "no listener has the family");
        }
    });
}

#[test]
fn a_second_connection_to_the_same_address_leaves_from_a_new_port() {
    run(async {
        let (mut here, mut there) = (transport(), transport());
        let (_, own) = listen(&mut here, V4).await;
        let (_, address) = listen(&mut there, V4).await;
        let (_first, accepted) = connect(&mut here, REUSE, &mut there, &address).await;
        if cfg!(unix) {
            assert_eq!(accepted.peer_addr().unwrap(), socket_addr(&own));
        }
        let (_second, accepted) = connect(&mut here, REUSE, &mut there, &address).await;
        assert_ne!(accepted.peer_addr().unwrap(), socket_addr(&own));
    });
}

#[test]
fn a_node_that_dials_itself_meets_its_own_listener() {
    run(async {
        let mut node = transport();
        let (_, own) = listen(&mut node, V4).await;
        let dial = node.dial(own.clone(), REUSE).unwrap();
        let (dialed, accepted) = join(dial, accept(&mut node)).await;
        assert_ne!(dialed.unwrap().local_addr().unwrap(), socket_addr(&own));
        assert_eq!(accepted.unwrap().local_addr().unwrap(), socket_addr(&own));
    });
}
