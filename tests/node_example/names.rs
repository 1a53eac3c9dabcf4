//! A peer that is found by its name.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::{
    dns_server::{Data, Reply, Server},
    process::{Node, started_and_listening},
};

#[test]
fn a_process_joins_by_name() {
    let mut alice = Node::start(&["--executor", "smol"]);
    let (alice_id, address) = started_and_listening(&mut alice);
    let port = address.split('/').nth(4).expect("a port").to_owned();
    let listed = format!("dnsaddr=/dns4/alice.example/tcp/{port}/p2p/{alice_id}");
    let server = Server::start(move |asked| match asked.name.as_str() {
        "_dnsaddr.example.org" => Reply::Records(vec![Data::Text(listed.clone())]),
        "alice.example" => Reply::Records(vec![Data::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))]),
        _ => Reply::NoSuchName,
    });
    let dns = server.address.to_string();
    for bootstrap in ["/dnsaddr/example.org", &format!("/dns4/alice.example/tcp/{port}")] {
        let mut bob = Node::start(&["--bootstrap", bootstrap, "--dns", &dns]);
        assert_eq!(bob.await_event("connected")["peer"], json!(alice_id), "{bootstrap}");
        assert!(bob.end().success());
    }
}
