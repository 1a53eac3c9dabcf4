//! What a peer says of itself when it introduces itself: for which networks it speaks.

use libp2p::identify;

use crate::record::NetworkName;

/// How the names of all protocols begin, and so does the version in an introduction.
const PREFIX: &str = "/peerage/";

/// The version in an introduction. It names the network, so that a peer of another one can say which.
pub(super) fn version(network: &NetworkName) -> String {
    format!("{PREFIX}{network}/1.0.0")
}

/// For which networks a peer speaks, by the version that it names and then by its protocols. Names that no network can
/// have are left out. A network may come more than once.
pub(crate) fn networks(info: &identify::Info) -> impl Iterator<Item = NetworkName> {
    let protocols = info.protocols.iter().map(AsRef::as_ref);
    std::iter::once(info.protocol_version.as_str()).chain(protocols).filter_map(network_in)
}

fn network_in(name: &str) -> Option<NetworkName> {
    let (network, _) = name.strip_prefix(PREFIX)?.split_once('/')?;
    network.parse().ok()
}

#[cfg(test)]
mod tests {
    use libp2p::{Multiaddr, StreamProtocol, identity::Keypair};

    use super::*;

    fn spoken(version: &str, protocols: &[&'static str]) -> Vec<String> {
        let info = identify::Info {
            public_key: Keypair::generate_ed25519().public(),
            protocol_version: version.to_owned(),
            agent_version: String::new(),
            listen_addrs: Vec::new(),
            protocols: protocols.iter().copied().map(StreamProtocol::new).collect(),
            observed_addr: Multiaddr::empty(),
            signed_peer_record: None,
        };
        networks(&info).map(|network| network.to_string()).collect()
    }

    #[test]
    fn a_peer_names_its_network_whatever_version_it_is_of() {
        let network = "other".parse().unwrap();
        assert_eq!(spoken(&version(&network), &[]), ["other"]);
        assert_eq!(spoken("/peerage/other/9.9.9", &[]), ["other"]);
        let protocols = ["/ipfs/id/1.0.0", "/peerage/other/kad/1.0.0"];
        assert_eq!(spoken("js/1.0.0", &protocols), ["other"]);
    }

    #[test]
    fn whoever_names_no_network_belongs_to_none() {
        let nonsense = ["/peerage/", "/peerage/Other/kad", "/peerage//kad", "/peerage/other"];
        assert_eq!(spoken("ipfs/0.1.0", &nonsense), Vec::<String>::new());
        assert_eq!(
            spoken(&format!("/peerage/{}/1.0.0", "x".repeat(33)), &[]),
            Vec::<String>::new()
        );
        assert_eq!(spoken("", &[]), Vec::<String>::new());
    }
}
