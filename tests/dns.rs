//! Names in addresses, against a DNS server on loopback that says what each test has it say.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
#![cfg(feature = "dns")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use futures::executor::block_on;
use peerage::{
    Config, DnsConfig, Error, Event, Limits, Multiaddr, Node, PeerId, TransportConfig,
    identity::Keypair,
};

#[path = "dns/server.rs"]
mod server;
mod support;

use server::{ASTRAY, Asked, Data, Lie, Reply, Server};
use support::{Executor, Peer, loopback, within};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HERE_TOO: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A node that asks this server, once and for no longer than a second.
fn asking(server: &Server) -> Config {
    let dns = DnsConfig::new()
        .with_servers([server.address])
        .with_timeout(Duration::from_secs(1))
        .with_attempts(1);
    loopback().with_transport(TransportConfig::new().with_dns(dns))
}

fn start(config: Config) -> Peer {
    Peer::start(Executor::Smol, config)
}

/// A peer to be found, with its port.
async fn target() -> (Peer, u16) {
    let mut peer = start(loopback());
    let port = port(&peer.address().await);
    (peer, port)
}

fn port(address: &Multiaddr) -> u16 {
    let text = address.to_string();
    text.split('/').nth(4).expect("a port").parse().expect("a port")
}

fn address(text: impl AsRef<str>) -> Multiaddr {
    text.as_ref().parse().expect("an address")
}

/// Dials a peer at an address with a name.
async fn dial(peer: &Peer, whom: PeerId, at: impl AsRef<str>) -> Result<(), Error> {
    within("the dial", peer.handle.dial(whom, vec![address(at)])).await
}

/// Why a dial fails, in words.
async fn dialed_in_vain(peer: &Peer, whom: PeerId, at: impl AsRef<str>) -> String {
    match dial(peer, whom, at).await {
        Err(Error::Transport { reason, .. }) => reason,
        other => panic!("not a failed dial: {other:?}"),
    }
}

/// Where a connection with a peer leads.
async fn connected_at(peer: &mut Peer, whom: PeerId) -> Multiaddr {
    peer.wait_for("a connection", |event| match event {
        Event::Connected { peer, address, .. } if peer == whom => Some(address),
        _ => None,
    })
    .await
}

fn entry(at: impl std::fmt::Display) -> Data {
    Data::Text(format!("dnsaddr={at}"))
}

fn nobody(_: &Asked) -> Reply {
    Reply::NoSuchName
}

#[test]
fn a_name_leads_to_its_addresses_of_the_family_that_was_asked_for() {
    block_on(async {
        let server = Server::start(|asked| match asked.name.as_str() {
            "both.example" => Reply::Records(vec![Data::Ip(HERE), Data::Ip(HERE_TOO)]),
            _ => Reply::NoSuchName,
        });
        if let Err(error) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            return eprintln!("skipped: this machine has no IPv6 ({error})");
        }
        for (family, expected, kinds) in [
            ("dns4", "/ip4/127.0.0.1/", vec!["A"]),
            ("dns6", "/ip6/::1/", vec!["AAAA"]),
            ("dns", "/ip6/::1/", vec!["A", "AAAA"]),
        ] {
            let mut target = start(
                loopback()
                    .with_listen([address("/ip4/127.0.0.1/tcp/0"), address("/ip6/::1/tcp/0")]),
            );
            let mut port_of = Vec::new();
            for _ in 0..2 {
                let address = target.address().await;
                port_of.push((address.to_string(), port(&address)));
            }
            let (_, port) =
                port_of.iter().find(|(text, _)| text.starts_with(expected)).expect("listening");
            let mut peer = start(asking(&server));
            let before = server.asked().len();
            let at = format!("/{family}/both.example/tcp/{port}");
            dial(&peer, target.id(), &at).await.expect("connected");
            let real = connected_at(&mut peer, target.id()).await.to_string();
            assert!(real.starts_with(expected), "{family} leads to {real}");
            let mut asked: Vec<&str> =
                server.asked()[before..].iter().map(|asked| asked.kind).collect();
            asked.sort_unstable();
            assert_eq!(asked, kinds, "{family}");
        }
    });
}

#[test]
fn a_bootstrap_address_may_be_a_name_with_or_without_its_peer() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        let server = Server::start(move |asked| match asked.name.as_str() {
            "boot.example" => Reply::Records(vec![Data::Ip(HERE)]),
            "_dnsaddr.boot.example" => {
                Reply::Records(vec![entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}"))])
            }
            _ => Reply::NoSuchName,
        });
        for at in [
            format!("/dns4/boot.example/tcp/{port}"),
            format!("/dns/boot.example/tcp/{port}/p2p/{id}"),
            "/dnsaddr/boot.example".to_owned(),
            format!("/dnsaddr/boot.example/p2p/{id}"),
        ] {
            let mut peer = start(asking(&server).with_bootstrap([address(&at)]));
            within("bootstrap", peer.handle.bootstrap()).await.expect(&at);
            let real = connected_at(&mut peer, id).await.to_string();
            assert!(real.starts_with(&format!("/ip4/127.0.0.1/tcp/{port}")), "{at}: {real}");
        }
    });
}

#[test]
fn what_cannot_be_resolved_is_told_by_name_and_the_node_goes_on() {
    block_on(async {
        let (target, port) = target().await;
        let server = Server::start(|asked| match asked.name.as_str() {
            "empty.example" | "_dnsaddr.empty.example" => Reply::Records(Vec::new()),
            "refused.example" => Reply::Refused,
            "silent.example" => Reply::Silence,
            "here.example" => Reply::Records(vec![Data::Ip(HERE)]),
            _ => Reply::NoSuchName,
        });
        let peer = start(asking(&server));
        for (at, expected) in [
            ("/dns4/absent.example/tcp/1", "absent.example does not exist"),
            ("/dns4/empty.example/tcp/1", "empty.example has no IPv4 address"),
            ("/dns6/empty.example/tcp/1", "empty.example has no IPv6 address"),
            ("/dns/empty.example/tcp/1", "empty.example has no address"),
            ("/dnsaddr/empty.example", "empty.example lists no addresses for /dnsaddr"),
            ("/dnsaddr/absent.example", "absent.example lists no addresses for /dnsaddr"),
            ("/dns4/refused.example/tcp/1", "refused.example: the DNS server says: Query Refused"),
            ("/dns4/silent.example/tcp/1", "silent.example: no DNS server answered in time"),
            ("/dns4/a..b/tcp/1", "`a..b` is no name for DNS"),
        ] {
            let reason = dialed_in_vain(&peer, target.id(), at).await;
            assert!(reason.contains(expected), "{at}: {reason}");
            assert!(!reason.contains('\n'), "{reason}");
        }
        dial(&peer, target.id(), format!("/dns4/here.example/tcp/{port}"))
            .await
            .expect("connected");
    });
}

#[test]
fn a_bootstrap_name_that_leads_nowhere_is_told_and_tried_again() {
    block_on(async {
        let (target, port) = target().await;
        let first = std::sync::atomic::AtomicBool::new(true);
        let server = Server::start(move |_| {
            if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                return Reply::Refused;
            }
            Reply::Records(vec![Data::Ip(HERE)])
        });
        let at = address(format!("/dns4/late.example/tcp/{port}"));
        let config = asking(&server).with_bootstrap([at.clone()]);
        let mut peer = start(config.with_rejoin_interval(Duration::from_secs(1)));
        let reason = peer
            .wait_for("the failure", |event| match event {
                Event::BootstrapUnreachable { address, reason } if address == at => Some(reason),
                _ => None,
            })
            .await;
        assert!(reason.contains("late.example"), "{reason}");
        connected_at(&mut peer, target.id()).await;
    });
}

#[test]
fn a_list_of_addresses_may_lead_to_further_lists() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        let server = Server::start(move |asked| match (asked.name.as_str(), asked.kind) {
            ("_dnsaddr.one.example", "TXT") => Reply::Records(vec![
                Data::Text("v=spf1 -all".to_owned()),
                Data::Pieces(vec![vec![0xff, 0xfe], vec![0]]),
                Data::Text("dnsaddr=what?".to_owned()),
                entry(format!("/dnsaddr/two.example/p2p/{id}")),
            ]),
            ("_dnsaddr.two.example", "TXT") => {
                let text = format!("dnsaddr=/dns4/three.example/tcp/{port}/p2p/{id}");
                // As a zone file may write a long one.
                let (front, back) = text.split_at(20);
                Reply::Records(vec![Data::Pieces(vec![front.into(), back.into()])])
            }
            ("three.example", "A") => Reply::Of(vec![
                ("three.example".to_owned(), Data::Alias("four.example".to_owned())),
                ("four.example".to_owned(), Data::Ip(HERE)),
            ]),
            _ => Reply::NoSuchName,
        });
        let mut peer = start(asking(&server));
        dial(&peer, id, "/dnsaddr/one.example").await.expect("connected");
        let real = connected_at(&mut peer, id).await;
        assert_eq!(real, address(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")));
    });
}

#[test]
fn of_a_list_only_the_peer_that_was_asked_for_is_dialed() {
    block_on(async {
        let (target, port) = target().await;
        let (other, other_port) = self::target().await;
        let [id, other_id, absent] = [target.id(), other.id(), PeerId::random()];
        let server = Server::start(move |_| {
            Reply::Records(vec![
                entry(format!("/ip4/127.0.0.1/tcp/{other_port}/p2p/{other_id}")),
                entry(format!("/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{id}")),
                entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")),
            ])
        });
        let peer = start(asking(&server));
        dial(&peer, id, format!("/dnsaddr/list.example/p2p/{id}")).await.expect("connected");
        let connected = within("peers", peer.handle.peers()).await.expect("peers");
        assert_eq!(connected.iter().map(|peer| peer.peer).collect::<Vec<_>>(), [id]);
        let reason = dialed_in_vain(&peer, absent, "/dnsaddr/list.example").await;
        assert!(reason.contains("none of the 3 addresses of list.example ends in"), "{reason}");
    });
}

#[test]
fn whoever_answers_must_be_the_peer_that_was_named() {
    block_on(async {
        let (impostor, port) = target().await;
        let (target, right_port) = self::target().await;
        let [id, other] = [target.id(), impostor.id()];
        let server = Server::start(move |asked| match asked.name.as_str() {
            "host.example" => Reply::Records(vec![Data::Ip(HERE)]),
            "_dnsaddr.stale.example" => {
                Reply::Records(vec![entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}"))])
            }
            "_dnsaddr.half.example" => Reply::Records(vec![
                entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")),
                entry(format!("/ip4/127.0.0.1/tcp/{right_port}/p2p/{id}")),
            ]),
            _ => Reply::NoSuchName,
        });
        let peer = start(asking(&server));
        for at in [format!("/dns4/host.example/tcp/{port}"), "/dnsaddr/stale.example".to_owned()] {
            let reason = dialed_in_vain(&peer, id, &at).await;
            assert!(reason.contains(&format!("another peer answered: {other}")), "{reason}");
        }
        // Without a peer in the address that is dialed, the list says who it is.
        let mut joining =
            start(asking(&server).with_bootstrap([address("/dnsaddr/stale.example")]));
        let reason = joining
            .wait_for("the failure", |event| match event {
                Event::BootstrapUnreachable { reason, .. } => Some(reason),
                Event::Connected { peer, .. } => panic!("connected with {peer}"),
                _ => None,
            })
            .await;
        assert!(reason.contains("another peer answered"), "{reason}");
        // The next address of the list is dialed instead.
        dial(&peer, id, "/dnsaddr/half.example").await.expect("connected");
    });
}

#[test]
fn lists_that_lead_in_a_circle_or_on_and_on_come_to_an_end() {
    block_on(async {
        let server = Server::start(|asked| {
            let name = asked.name.trim_start_matches("_dnsaddr.");
            match name.split_once('.') {
                Some(("circle", _)) => Reply::Records(vec![entry("/dnsaddr/round.example")]),
                Some(("round", _)) => Reply::Records(vec![entry("/dnsaddr/circle.example")]),
                // Each leads to one that has not been seen before.
                Some((number, "on.example")) => {
                    let next = number.parse::<u32>().expect("a number") + 1;
                    Reply::Records(vec![entry(format!("/dnsaddr/{next}.on.example"))])
                }
                // Each leads to many that have not been seen before.
                Some((prefix, "more.example")) => Reply::Long(
                    (0..200)
                        .map(|at| entry(format!("/dnsaddr/{prefix}-{at}.more.example")))
                        .collect(),
                ),
                _ => Reply::NoSuchName,
            }
        });
        for (at, expected, most) in [
            ("/dnsaddr/circle.example", "circle.example leads in a circle", 2),
            ("/dnsaddr/1.on.example", "5.on.example is more than 4 names away", 4),
            // Each question is asked over UDP, and then over TCP.
            ("/dnsaddr/0.more.example", "more than 32 lookups", 64),
        ] {
            let mut peer = start(asking(&server).with_bootstrap([address(at)]));
            let before = server.asked().len();
            let reason = peer
                .wait_for("the failure", |event| match event {
                    Event::BootstrapUnreachable { reason, .. } => Some(reason),
                    _ => None,
                })
                .await;
            assert!(reason.contains(expected), "{at}: {reason}");
            let asked = server.asked().len() - before;
            assert!(asked <= most, "{at}: {asked} questions");
            within("the end", peer.handle.shutdown()).await.expect("shut down");
        }
    });
}

#[test]
fn an_answer_that_does_not_fit_into_a_packet_is_asked_for_over_tcp() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        let server = Server::start(move |_| {
            let mut long: Vec<Data> = (0..40)
                .map(|at| entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", peer_number(at))))
                .collect();
            long.push(entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")));
            Reply::Long(long)
        });
        let peer = start(asking(&server));
        dial(&peer, id, "/dnsaddr/long.example").await.expect("connected");
        let asked: Vec<bool> = server.asked().iter().map(|asked| asked.over_tcp).collect();
        assert_eq!(asked, [false, true]);
    });
}

fn peer_number(number: u8) -> PeerId {
    let mut secret = [number; 32];
    Keypair::ed25519_from_bytes(&mut secret).expect("a key").public().to_peer_id()
}

#[test]
fn endless_lists_take_no_more_than_their_share_and_what_comes_first_is_found() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        let server = Server::start(move |_| {
            let right = entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}"));
            // As many as fit into 64 KiB.
            let others = (1..400).map(|at| entry(format!("/ip4/127.9.9.9/tcp/{at}/p2p/{id}")));
            Reply::Long(std::iter::once(right).chain(others).collect())
        });
        let peer = start(asking(&server));
        dial(&peer, id, "/dnsaddr/endless.example").await.expect("connected");
        let absent = PeerId::random();
        let server = Server::start(move |_| {
            let all = (1..400).map(|at| entry(format!("/ip4/127.9.9.9/tcp/{at}/p2p/{absent}")));
            Reply::Long(all.collect())
        });
        let peer = start(asking(&server));
        let reason = dialed_in_vain(&peer, absent, "/dnsaddr/endless.example").await;
        assert_eq!(reason.matches("/ip4/127.9.9.9/tcp/").count(), 16, "{reason}");
    });
}

#[test]
fn forged_answers_are_passed_over_and_junk_does_no_harm() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        let server = Server::start(|asked| match asked.name.as_str() {
            "forged.example" => Reply::After(Lie::Identifier, vec![Data::Ip(HERE)]),
            "mixed.example" => Reply::After(Lie::Question, vec![Data::Ip(HERE)]),
            // An answer about somebody else beside the one that was asked for.
            "aside.example" => Reply::Of(vec![
                ("other.example".to_owned(), Data::Ip(ASTRAY.into())),
                ("aside.example".to_owned(), Data::Ip(HERE)),
            ]),
            "other.example" => Reply::Of(vec![("elsewhere.example".to_owned(), Data::Ip(HERE))]),
            "loop.example" => Reply::Records(vec![Data::Alias("loop.example".to_owned())]),
            "junk.example" => Reply::Junk(vec![0xc0; 300]),
            "short.example" => Reply::Junk(Vec::new()),
            "header.example" => Reply::Junk(vec![0x81, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
            _ => Reply::NoSuchName,
        });
        // Whoever is led astray is seen there. Only Linux has all of 127.0.0.0/8 without being told to.
        let astray = std::net::TcpListener::bind((ASTRAY, port));
        assert!(astray.is_ok() || !cfg!(target_os = "linux"), "{astray:?}");
        for name in ["forged", "mixed", "aside"] {
            let mut peer = start(asking(&server));
            let at = format!("/dns4/{name}.example/tcp/{port}");
            dial(&peer, id, &at).await.expect(&at);
            let real = connected_at(&mut peer, id).await.to_string();
            assert!(real.starts_with("/ip4/127.0.0.1/"), "{name}: {real}");
        }
        if let Ok(astray) = astray {
            astray.set_nonblocking(true).expect("a listener");
            let seen = astray.accept().map(|(_, from)| from);
            assert_eq!(seen.map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
        }
        let peer = start(asking(&server));
        for name in ["other", "loop", "junk", "short", "header"] {
            let reason =
                dialed_in_vain(&peer, id, format!("/dns4/{name}.example/tcp/{port}")).await;
            assert!(reason.contains(&format!("{name}.example")), "{name}: {reason}");
        }
        dial(&peer, id, format!("/dns4/aside.example/tcp/{port}")).await.expect("still there");
    });
}

#[test]
fn a_family_that_is_not_answered_for_keeps_the_other_waiting_for_a_moment_only() {
    block_on(async {
        let (target, port) = target().await;
        let server = Server::start(|asked| match asked.kind {
            "A" => Reply::Records(vec![Data::Ip(HERE)]),
            _ => Reply::Silence,
        });
        let config = asking(&server);
        let dns = config.transport.dns().clone().with_timeout(Duration::from_secs(30));
        let transport = config.transport.clone().with_dns(dns);
        let peer = start(config.with_transport(transport));
        let begun = Instant::now();
        dial(&peer, target.id(), format!("/dns/half.example/tcp/{port}")).await.expect("connected");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    });
}

#[test]
fn an_address_that_says_nothing_is_overtaken_by_the_next() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        // Accepts, and never speaks.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let silent_port = silent.local_addr().expect("an address").port();
        let server = Server::start(move |_| {
            Reply::Records(vec![
                entry(format!("/ip4/127.0.0.1/tcp/{silent_port}/p2p/{id}")),
                entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")),
            ])
        });
        let peer = start(asking(&server));
        let begun = Instant::now();
        dial(&peer, id, "/dnsaddr/slow.example").await.expect("connected");
        // Its handshake alone would have ten seconds.
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
        // Nobody waits for it any longer: it is told so by the end of the connection.
        let (mut stream, _) = silent.accept().expect("it was dialed");
        stream.set_read_timeout(Some(support::PATIENCE)).expect("a timeout");
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).expect("closed");
    });
}

#[test]
fn a_list_that_names_the_node_itself_leads_to_the_others() {
    block_on(async {
        let (target, port) = target().await;
        let id = target.id();
        let keypair = Keypair::generate_ed25519();
        let own = keypair.public().to_peer_id();
        let own_port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let server = Server::start(move |asked| match asked.name.as_str() {
            "_dnsaddr.all.example" => Reply::Records(vec![
                entry(format!("/ip4/127.0.0.1/tcp/{own_port}/p2p/{own}")),
                entry(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")),
            ]),
            _ => Reply::Records(vec![entry(format!("/ip4/127.0.0.1/tcp/{own_port}/p2p/{own}"))]),
        });
        let config =
            asking(&server).with_listen([address(format!("/ip4/127.0.0.1/tcp/{own_port}"))]);
        let both = ["/dnsaddr/all.example", "/dnsaddr/own.example"].map(address);
        let (node, handle) = Node::new(keypair, config.with_bootstrap(both)).expect("a node");
        let mut peer = Peer::run(Executor::Smol, node, handle);
        let (mut met_other, mut met_itself) = (false, false);
        peer.wait_for("the other, and itself", |event| {
            match event {
                Event::Connected { peer, .. } => met_other |= peer == id,
                // Of the list that names nobody else it is told that it is the node's own.
                Event::BootstrapUnreachable { address, reason } => {
                    assert_eq!(address.to_string(), "/dnsaddr/own.example");
                    assert_eq!(reason, "is this node itself");
                    met_itself = true;
                }
                _ => {}
            }
            (met_other && met_itself).then_some(())
        })
        .await;
    });
}

#[test]
fn names_that_other_peers_tell_are_not_looked_up() {
    block_on(async {
        let server = Server::start(nobody);
        // It says of itself that it is to be found by this name, and others pass that on.
        let told = address("/dns4/trap.example/tcp/4001");
        let mut teller = start(loopback().with_external_addresses([told]));
        let at = teller.address().await;
        let mut peers = Vec::new();
        for _ in 0..2 {
            let peer = start(asking(&server).with_bootstrap([at.clone()]));
            within("bootstrap", peer.handle.bootstrap()).await.expect("joined");
            peers.push(peer);
        }
        // Whoever has left is looked for where it was said to be.
        within("the end", teller.handle.shutdown()).await.expect("shut down");
        for peer in &mut peers {
            peer.wait_for("its end", |event| {
                matches!(event, Event::Disconnected { peer, .. } if peer == teller.id())
                    .then_some(())
            })
            .await;
            let _ = within("bootstrap", peer.handle.bootstrap()).await;
        }
        // The server is there, and is asked for what the application names.
        let whom = teller.id();
        dialed_in_vain(&peers[0], whom, "/dns4/named.example/tcp/4001").await;
        assert_eq!(server.count("named.example"), 1);
        assert_eq!(server.count("trap.example"), 0);
    });
}

#[test]
fn one_answer_serves_many_dials_for_as_long_as_it_holds() {
    block_on(async {
        let (target, port) = target().await;
        let server = Server::start(|_| Reply::Records(vec![Data::Ip(HERE)]));
        let peer = start(asking(&server));
        for _ in 0..5 {
            let at = format!("/dns4/kept.example/tcp/{port}");
            let reason = dialed_in_vain(&peer, PeerId::random(), &at).await;
            assert!(reason.contains("another peer answered"), "{reason}");
        }
        dial(&peer, target.id(), format!("/dns4/kept.example/tcp/{port}"))
            .await
            .expect("connected");
        assert_eq!(server.count("kept.example"), 1);
    });
}

#[test]
fn peers_behind_different_names_are_counted_by_the_host_that_they_share() {
    block_on(async {
        let ((first, port), (second, other_port)) = (target().await, target().await);
        let server = Server::start(|_| Reply::Records(vec![Data::Ip(HERE)]));
        let limits = Limits::new().with_count_private_addresses(true).with_connections_per_ip(1);
        let peer = start(asking(&server).with_limits(limits));
        dial(&peer, first.id(), format!("/dns4/a.example/tcp/{port}")).await.expect("connected");
        let at = format!("/dns4/b.example/tcp/{other_port}");
        let refused = dial(&peer, second.id(), at).await;
        assert!(refused.is_err(), "a second one of this host");
        let connected = within("peers", peer.handle.peers()).await.expect("peers");
        assert_eq!(connected.iter().map(|peer| peer.peer).collect::<Vec<_>>(), [first.id()]);
    });
}

#[test]
fn an_address_may_stand_where_a_name_is_expected() {
    block_on(async {
        let (target, port) = target().await;
        let server = Server::start(nobody);
        let peer = start(asking(&server));
        dial(&peer, target.id(), format!("/dns4/127.0.0.1/tcp/{port}")).await.expect("connected");
        assert!(server.asked().is_empty());
    });
}

#[test]
fn any_executor_moves_it() {
    block_on(async {
        let (target, port) = target().await;
        let server = Server::start(|_| Reply::Long(vec![Data::Ip(HERE)]));
        for executor in [Executor::Tokio, Executor::AsyncStd, Executor::Futures] {
            let peer = Peer::start(executor, asking(&server));
            dial(&peer, target.id(), format!("/dns4/tcp.example/tcp/{port}"))
                .await
                .expect("connected");
        }
        // Connections run elsewhere, and what runs in the background does so in the node's poll all the same.
        let (node, handle) = Node::builder(Keypair::generate_ed25519(), asking(&server))
            .with_executor(|task| Executor::Tokio.spawn(task))
            .build()
            .expect("a node");
        let peer = Peer::run(Executor::Futures, node, handle);
        dial(&peer, target.id(), format!("/dns4/tcp.example/tcp/{port}")).await.expect("connected");
    });
}
