use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{Mutex, MutexGuard},
};

use futures::executor::block_on;
use libp2p::PeerId;

use super::*;
use crate::net::dns::search::{Search, Shape};

fn question(at: &str) -> Question {
    Search::new(&at.parse().unwrap(), PeerId::random(), Shape::Tcp).next().unwrap()
}

fn resolver(read: fn() -> Result<Servers, NetError>) -> Resolver {
    let config = DnsConfig::new().with_timeout(Duration::from_millis(100)).with_attempts(1);
    let spawner = Box::new(|task| smol::spawn(task).detach());
    Resolver { read, ..Resolver::new(config, spawner) }
}

fn silent_server() -> (UdpSocket, NameServerConfig) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut connection = ConnectionConfig::udp();
    connection.port = socket.local_addr().unwrap().port();
    let config = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
    (socket, config)
}

#[test]
fn where_nobody_is_named_who_could_be_asked_that_is_said() {
    let resolver = resolver(|| Err(NetError::Message("there is no such file")));
    let reason = block_on(resolver.ask(&question("/dns4/example.org/tcp/1"))).unwrap_err();
    let expected = "no DNS server is configured, and the system names none (there is no such file)";
    assert_eq!(reason, expected);
}

#[test]
fn what_the_system_says_anew_holds_from_the_next_question_on() {
    static NAMED: Mutex<Vec<NameServerConfig>> = Mutex::new(Vec::new());
    fn named() -> MutexGuard<'static, Vec<NameServerConfig>> {
        NAMED.lock().unwrap()
    }
    let resolver = resolver(|| {
        let config = ResolverConfig::from_name_servers(named().clone());
        Ok(Servers { config, options: ResolverOpts::default() })
    });
    let sockets: Vec<UdpSocket> = (0..2)
        .map(|_| {
            let (socket, config) = silent_server();
            *named() = vec![config];
            let current = |resolver: &Resolver| {
                block_on(resolver.current()).unwrap();
                resolver.current.lock().unwrap().as_ref().unwrap().said.clone()
            };
            let said = current(&resolver);
            assert!(said.contains(&socket.local_addr().unwrap().port().to_string()));
            assert_eq!(current(&resolver), said);
            let reason = block_on(resolver.ask(&question("/dns4/a.example/tcp/1"))).unwrap_err();
            assert_eq!(reason, "a.example: no DNS server answered in time");
            socket
        })
        .collect();
    for socket in sockets {
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 512]).is_ok(), "each was asked while it was named");
    }
}

#[test]
fn an_address_in_the_place_of_a_name_is_not_asked_about() {
    let resolver = resolver(|| panic!("nobody is asked"));
    let answer = block_on(resolver.ask(&question("/dns4/192.0.2.1/tcp/1"))).unwrap();
    assert_eq!(answer.ips, [IpAddr::from([192, 0, 2, 1])]);
    let reason = block_on(resolver.ask(&question("/dns6/192.0.2.1/tcp/1"))).unwrap_err();
    assert_eq!(reason, "192.0.2.1 has no IPv6 address");
}
