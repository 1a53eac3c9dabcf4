//! What a signed record is. A kind says in [`Wire`] what is its own, and in [`Placed`] where the DHT holds it, if it does;
//! all else is the same for all kinds.

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    codec::{self, Bytes},
    envelope,
    key::RecordKey,
    kind::Kind,
    limits::SizeLimit,
    network::NetworkName,
    rejected::Rejected,
    revision::Rank,
    validity::Validity,
    wire::{self, Ext, NetworkText},
};
use crate::{
    error::Result,
    package::{Digest, Origin, PackageName},
};
use sealed::{Common, Placed, Wire};

/// What can be signed: a [`Head`](super::Head), a [`Release`](super::Release), a
/// [`Page`](super::Page), a [`Claim`](super::Claim), a [`Message`](super::Message) or a [`Hello`](super::Hello).
pub trait Body: Wire {}

impl<T: Wire> Body for T {}

/// What belongs under a key of the DHT.
pub trait Stored: Body + Placed {}

impl<T: Body + Placed> Stored for T {}

/// A body as it is written: what its kind says stands between what every body has.
#[derive(Debug, Serialize, Deserialize)]
struct BodyWire<'a, F> {
    #[serde(borrow)]
    network: NetworkText<'a>,
    owner: [u8; 32],
    fields: F,
    #[serde(borrow)]
    ext: Ext<'a>,
}

pub(super) mod sealed {
    use super::*;

    /// What every body has, whatever its kind.
    #[derive(Debug, Clone, Copy)]
    pub struct Common<'a> {
        /// The network that it belongs to.
        pub network: &'a NetworkName,
        /// Whose it is: who has signed it, or delegated whoever has.
        pub owner: &'a PeerId,
        /// What is signed beside its fields.
        pub ext: &'a [u8],
    }

    /// Where one that expires and is replaced stands among its owner's records.
    #[derive(Debug, Clone, Copy)]
    pub struct Succession<'a> {
        /// What it is about.
        pub name: &'a PackageName,
        /// What orders it among those of its name.
        pub rank: Rank,
        /// When it holds.
        pub validity: Validity,
    }

    /// A kind of body: how it is written, and what must hold of it.
    ///
    /// To sign one, its `ext`, the signer, [`validate`](Self::validate), [`check_written`](Self::check_written),
    /// its lifetime and [`SIZE`](Self::SIZE) are checked, in this order. To read one: the size, the encoding,
    /// `check_written`, what [`from_fields`](Self::from_fields) parses, `validate`, and then what
    /// [`Record::verify`](crate::record::Record::verify) tells.
    pub trait Wire: Sized {
        /// Its kind.
        const KIND: Kind;

        /// Whether its owner may have a publisher sign it.
        const DELEGABLE: bool = true;

        /// The most bytes, envelope and all.
        const SIZE: SizeLimit = SizeLimit::RECORD;

        /// Its own fields as they are written, in the order of format 1.
        type Fields<'a>: Serialize + Deserialize<'a>;

        /// What it has as every body has it.
        fn common(&self) -> Common<'_>;

        /// Its own fields, to be written.
        fn to_fields(&self) -> Result<Self::Fields<'_>>;

        /// What was read, which is not validated.
        fn from_fields(common: Common<'_>, fields: Self::Fields<'_>) -> Result<Self, Rejected>;

        /// Checks the bounds of its fields: of what is signed here as of what is received, so that
        /// nobody signs what others refuse.
        fn validate(&self, origin: Origin) -> Result<()>;

        /// Checks the bounds that are known once it is written down, in a body of so many bytes.
        fn check_written(_fields: &Self::Fields<'_>, _body: usize) -> Result<()> {
            Ok(())
        }

        /// Where it stands among its owner's records, for those that expire and are replaced.
        fn succession(&self) -> Option<Succession<'_>> {
            None
        }

        /// Checks that it holds at this time.
        fn check_time(&self, now: u64) -> Result<(), Rejected> {
            self.succession().map_or(Ok(()), |this| this.validity.check(now))
        }

        /// Writes it.
        fn encode(&self) -> Result<Vec<u8>> {
            self.common().encode(&self.to_fields()?)
        }

        /// Reads the one encoding of it. What comes back is not validated.
        fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
            Self::SIZE.check(bytes.len().saturating_add(envelope::OVERHEAD))?;
            let wire: BodyWire<'_, Self::Fields<'_>> = codec::decode_strict(bytes)?;
            Self::check_written(&wire.fields, bytes.len())?;
            let (network, owner) = (wire.network.0.parse()?, wire::owner_of(&wire.owner)?);
            let common = Common { network: &network, owner: &owner, ext: wire.ext.0 };
            Self::from_fields(common, wire.fields)
        }
    }

    /// A body with a place in the DHT.
    pub trait Placed {
        /// The key it belongs under. Of what is told by its digest, that is part of it.
        fn key(&self, digest: impl FnOnce() -> Digest) -> RecordKey;
    }
}

impl Common<'_> {
    /// Writes a body of these fields.
    pub(super) fn encode(self, fields: &impl Serialize) -> Result<Vec<u8>> {
        codec::encode(&BodyWire {
            network: NetworkText::of(self.network.as_str()),
            owner: wire::key_of(self.owner)?,
            fields,
            ext: Bytes(self.ext),
        })
    }

    /// The same, of its own.
    pub(super) fn owned(self) -> (NetworkName, PeerId, Vec<u8>) {
        (self.network.clone(), *self.owner, self.ext.to_vec())
    }
}
