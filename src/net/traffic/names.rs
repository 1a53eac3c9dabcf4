//! By which names protocols are told apart.

use libp2p::identify;

use crate::{
    error::Result,
    net::{dht_protocol, exchange, gossip},
    record::NetworkName,
};

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Dht,
    Gossip,
    Exchange,
    Identify,
    /// None of these.
    Other,
}

/// How the names of this network's protocols begin, up to their versions.
#[derive(Debug)]
pub(super) struct Names([(Box<[u8]>, Protocol); 4]);

/// The protocols of which something may be the name, by their places in [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Candidates([bool; 4]);

impl Names {
    pub(super) fn new(network: &NetworkName) -> Result<Self> {
        let unversioned = |name: &str| {
            let end = name.rfind('/').map_or(name.len(), |slash| slash + 1);
            name.bytes().take(end).collect()
        };
        Ok(Self([
            (unversioned(dht_protocol(network)?.as_ref()), Protocol::Dht),
            (gossip::PROTOCOLS.as_bytes().into(), Protocol::Gossip),
            (unversioned(exchange::protocol(network)?.as_ref()), Protocol::Exchange),
            // What is pushed has a name that begins like this as well.
            (unversioned(identify::PROTOCOL_NAME.as_ref()), Protocol::Identify),
        ]))
    }

    /// Of which something of this length can be the name.
    pub(super) fn shorter_than(&self, length: u64) -> Candidates {
        Candidates(self.0.each_ref().map(|(name, _)| (name.len() as u64) < length))
    }

    /// Of which it still can, once these bytes have come after so many others.
    pub(super) fn narrow(&self, candidates: Candidates, at: u64, bytes: &[u8]) -> Candidates {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let mut left = candidates;
        for (is_left, (name, _)) in left.0.iter_mut().zip(&self.0) {
            let rest = name.get(at..).unwrap_or_default();
            let compared = rest.len().min(bytes.len());
            *is_left &= rest.get(..compared) == bytes.get(..compared);
        }
        left
    }

    /// The protocol of a name of which all has come.
    pub(super) fn protocol(&self, candidates: Candidates) -> Protocol {
        let mut names = candidates.0.into_iter().zip(&self.0);
        names.find(|(is_left, _)| *is_left).map_or(Protocol::Other, |(_, (_, protocol))| *protocol)
    }
}
