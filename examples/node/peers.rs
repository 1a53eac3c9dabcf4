//! Who is connected, as a table.

use std::fmt::{Result, Write};

use peerage::{ConnectedPeer, Direction};

/// One row for each peer, below what the columns are. What peers say of themselves comes last, since it is as long as they
/// like.
pub(crate) fn write(out: &mut String, peers: &[ConnectedPeer]) -> Result {
    let heading = ["peer", "", "kept for", "age", "address", "agent"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(peers.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let [first, second, third, fourth, fifth, _] = widths;
    for [peer, way, kept_for, age, address, agent] in &rows {
        write!(out, "{peer:<first$}  {way:<second$}  {kept_for:<third$}  {age:>fourth$}  ")?;
        writeln!(out, "{address:<fifth$}  {agent}")?;
    }
    Ok(())
}

fn row(peer: &ConnectedPeer) -> [String; 6] {
    [
        peer.peer.to_string(),
        direction(peer.direction).to_owned(),
        peer.kept_for.as_str().to_owned(),
        format!("{} s", peer.age.as_secs()),
        peer.address.to_string(),
        peer.agent.as_deref().unwrap_or("?").escape_debug().to_string(),
    ]
}

/// Who has dialed: this peer or the other.
pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "->",
        Direction::Inbound => "<-",
        _ => "--",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    fn peer(address: &str, age: &str, kept_for: &str, agent: Option<&str>) -> ConnectedPeer {
        let peer = json!({
            "peer": PEER,
            "address": address,
            "direction": if agent.is_some() { "outbound" } else { "inbound" },
            "agent": agent,
            "location": null,
            "round_trip": null,
            "coverage": null,
            "catalogue": null,
            "age": age,
            "kept_for": kept_for,
        });
        from_value(peer).unwrap()
    }

    #[test]
    fn connected_peers_stand_in_columns_with_what_they_are_kept_for_and_their_age() {
        let peers = [
            peer("/ip4/198.51.100.7/tcp/4001", "2h", "neighbour", Some("peerage/0.1.0\n")),
            peer("/ip4/10.0.0.1/tcp/1", "5s", "grace", None),
        ];
        let mut out = String::new();
        write(&mut out, &peers).unwrap();
        let blank = " ".repeat(PEER.len() - "peer".len());
        let expected = [
            format!("peer{blank}      kept for      age  address                     agent\n"),
            format!(
                "{PEER}  ->  neighbour  7200 s  /ip4/198.51.100.7/tcp/4001  peerage/0.1.0\\n\n"
            ),
            format!("{PEER}  <-  grace         5 s  /ip4/10.0.0.1/tcp/1         ?\n"),
        ];
        assert_eq!(out, expected.concat());
    }
}
