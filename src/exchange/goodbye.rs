//! The other peers that a goodbye tells of.

use std::collections::HashSet;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use super::{MAX_ADDRESS_BYTES, MAX_OTHER_ADDRESSES, MAX_OTHERS};
use crate::{
    error::Result,
    record::{
        Rejected,
        codec::{Bytes, List},
        wire::{key_of, owner_of},
    },
};

/// A peer that may have room, and where it can be found, as the one that says goodbye knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    /// The peer, which has an Ed25519 key.
    pub(crate) peer: PeerId,
    /// Its addresses, 1 to 4, of at most 128 bytes each.
    pub(crate) addresses: Vec<Multiaddr>,
}

impl Other {
    /// A peer with the first of these addresses. `None` where a goodbye cannot tell of it.
    pub(crate) fn found_at(
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Option<Self> {
        key_of(&peer).ok()?;
        let addresses = addresses.into_iter().map(|address| match address.iter().last() {
            // Whose address it is stands beside it.
            Some(Protocol::P2p(named)) if named == peer => without_last(address),
            _ => address,
        });
        let fits = |address: &Multiaddr| (1..=MAX_ADDRESS_BYTES).contains(&address.len());
        let addresses: Vec<Multiaddr> = addresses.filter(fits).take(MAX_OTHER_ADDRESSES).collect();
        (!addresses.is_empty()).then_some(Self { peer, addresses })
    }
}

fn without_last(mut address: Multiaddr) -> Multiaddr {
    address.pop();
    address
}

type AddressBytes<'a> = Bytes<'a, MAX_ADDRESS_BYTES>;
pub(super) type OthersWire<'a> = List<OtherWire<'a>, MAX_OTHERS>;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OtherWire<'a> {
    peer: [u8; 32],
    #[serde(borrow)]
    addresses: List<AddressBytes<'a>, MAX_OTHER_ADDRESSES>,
}

pub(super) fn others_of(others: &[Other]) -> Result<OthersWire<'_>> {
    others.iter().map(OtherWire::of).collect::<Result<_>>().map(List)
}

/// Each peer once, and somewhere to find it: whoever reads this may dial them all.
pub(super) fn into_others(others: OthersWire<'_>) -> Result<Vec<Other>, Rejected> {
    let others: Vec<Other> =
        others.0.into_iter().map(OtherWire::into_other).collect::<Result<_, _>>()?;
    let distinct: HashSet<&PeerId> = others.iter().map(|other| &other.peer).collect();
    if distinct.len() < others.len() {
        return Err(Rejected::encoding("a peer is told twice"));
    }
    Ok(others)
}

impl<'a> OtherWire<'a> {
    fn of(other: &'a Other) -> Result<Self> {
        let addresses = other.addresses.iter().map(|address| Bytes(address.as_ref())).collect();
        Ok(Self { peer: key_of(&other.peer)?, addresses: List(addresses) })
    }

    fn into_other(self) -> Result<Other, Rejected> {
        let addresses: Vec<Multiaddr> =
            self.addresses.0.into_iter().map(address).collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(Rejected::encoding("a peer is told of without an address"));
        }
        Ok(Other { peer: owner_of(&self.peer)?, addresses })
    }
}

fn address(bytes: AddressBytes<'_>) -> Result<Multiaddr, Rejected> {
    let address = Multiaddr::try_from(bytes.0.to_vec());
    let address = address.ok().filter(|address| !address.is_empty());
    address.ok_or(Rejected::encoding("not an address"))
}
