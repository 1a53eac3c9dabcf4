use libp2p::PeerId;

use super::{
    Kind, NetworkName, Notes, PageLink, Rank, RecordKey, Rejected, ReleaseEntry, Revision,
    Validity,
    codec::{self, Bytes, List, Text},
    page::check_releases,
    release::{check_manifest_size, check_owned_manifest, manifest_bytes},
    signed::sealed::{Placed, Wire},
    wire::{self, EntryWire, HeadWire, LinkWire, ManifestWire, NameText, NetworkText, StateWire},
};
use crate::{
    Error, Result,
    package::{Digest, Manifest, Origin, PackageName, text::check_lines},
};

/// The one record of a package that changes: which releases it has, or that it is no more.
///
/// Its owner signs a new one, of a higher [`Revision`], for every change, and before it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who publishes the package.
    pub owner: PeerId,
    /// The package's name.
    pub name: PackageName,
    /// What orders the heads of a package.
    pub revision: Revision,
    /// When it holds.
    pub validity: Validity,
    /// What it says.
    pub state: HeadState,
    /// What the owner delegates, or what later versions sign; at most 512 bytes. See the
    /// [module](super).
    pub ext: Vec<u8>,
}

/// What a head says about its package.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadState {
    /// There are releases.
    Live {
        /// The manifest of the release that is meant when no version is, so that the most common
        /// question is answered by one record. That release is in the list.
        latest: Box<Manifest>,
        /// The newest releases, newest first: 1 to 24 of them.
        releases: Vec<ReleaseEntry>,
        /// Where the list continues.
        older: Option<PageLink>,
    },
    /// The owner has withdrawn the package for good.
    Withdrawn {
        /// Why; at most 256 bytes, may be empty.
        reason: String,
    },
}

impl Head {
    /// The most releases in the head itself.
    pub const MAX_INLINE_RELEASES: usize = 24;
    /// The longest reason of a withdrawal, in bytes.
    pub const MAX_REASON_BYTES: usize = 256;

    /// The head of a package with releases, named as its latest manifest is. The list comes from
    /// [`paginate`](super::paginate()).
    #[must_use]
    pub fn live(
        network: NetworkName,
        owner: PeerId,
        revision: Revision,
        validity: Validity,
        latest: Manifest,
        releases: Vec<ReleaseEntry>,
        older: Option<PageLink>,
    ) -> Self {
        let name = latest.name.clone();
        let state = HeadState::Live { latest: Box::new(latest), releases, older };
        Self { network, owner, name, revision, validity, state, ext: Vec::new() }
    }

    /// The head of a package that is withdrawn. It is the end: a registry signs no live head after it.
    #[must_use]
    pub fn withdrawn(
        network: NetworkName,
        owner: PeerId,
        name: PackageName,
        revision: Revision,
        validity: Validity,
        reason: impl Into<String>,
    ) -> Self {
        let state = HeadState::Withdrawn { reason: reason.into() };
        Self { network, owner, name, revision, validity, state, ext: Vec::new() }
    }

    /// The head that follows this one, of the next sequence, and says the same for longer: what its
    /// signer signs before this one expires. It carries the same delegation, if this one carries any.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the epoch has no further sequence.
    pub fn renewed(&self, validity: Validity) -> Result<Self> {
        Ok(Self { revision: self.revision.next()?, validity, ..self.clone() })
    }

    /// The manifest of the latest release, unless the package is withdrawn.
    #[must_use]
    pub fn latest(&self) -> Option<&Manifest> {
        match &self.state {
            HeadState::Live { latest, .. } => Some(latest),
            HeadState::Withdrawn { .. } => None,
        }
    }

    /// The newest releases, newest first, as far as they stand in the head itself. None where the package is withdrawn.
    #[must_use]
    pub fn releases(&self) -> &[ReleaseEntry] {
        match &self.state {
            HeadState::Live { releases, .. } => releases,
            HeadState::Withdrawn { .. } => &[],
        }
    }

    /// What its owner says beside the list of releases. Nothing of it was said later than this head: a publisher who
    /// pretends so would have the last word for ever.
    #[must_use]
    pub fn notes(&self) -> Notes {
        match &self.state {
            HeadState::Live { .. } => Notes::in_ext(&self.ext).until(self.revision),
            HeadState::Withdrawn { .. } => Notes::default(),
        }
    }

    /// Where it stands among the heads of its package: the highest one is kept.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { withdrawn: self.is_withdrawn(), ..self.revision.into() }
    }

    /// Whether the owner has withdrawn the package.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        matches!(self.state, HeadState::Withdrawn { .. })
    }
}

impl HeadState {
    fn validate(&self, owner: &PeerId, name: &PackageName, origin: Origin) -> Result<()> {
        match self {
            Self::Live { latest, releases, older } => {
                if latest.name != *name {
                    let reason = format!("is `{}`; `{name}` is accepted", latest.name);
                    return Err(Error::invalid("latest.name", reason));
                }
                check_owned_manifest(latest, owner, origin)?;
                check_releases(releases, older.as_ref(), Head::MAX_INLINE_RELEASES)?;
                // With pages behind it, the release may be in one of those.
                let listed = releases.iter().any(|entry| entry.version == latest.version);
                if !listed && older.is_none() {
                    let reason = format!("is {}; a listed one is accepted", latest.version);
                    return Err(Error::invalid("latest.version", reason));
                }
                Ok(())
            }
            Self::Withdrawn { reason } => {
                check_lines(|| "reason".into(), reason, Head::MAX_REASON_BYTES)
            }
        }
    }
}

impl Wire for Head {
    const KIND: Kind = Kind::Head;

    fn network(&self) -> &NetworkName {
        &self.network
    }

    fn owner(&self) -> &PeerId {
        &self.owner
    }

    fn ext(&self) -> &[u8] {
        &self.ext
    }

    fn validate(&self, origin: Origin) -> Result<()> {
        self.state.validate(&self.owner, &self.name, origin)
    }

    fn validate_size(&self) -> Result<()> {
        self.latest().map_or(Ok(()), |latest| check_manifest_size(manifest_bytes(latest)?))
    }

    fn validity(&self) -> Option<Validity> {
        Some(self.validity)
    }

    fn rank(&self) -> Option<(Rank, &PackageName)> {
        Some((Head::rank(self), &self.name))
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(&HeadWire {
            network: NetworkText::of(self.network.as_str()),
            owner: wire::key_of(&self.owner)?,
            name: NameText::of(self.name.as_str()),
            epoch: self.revision.epoch,
            sequence: self.revision.sequence,
            issued: self.validity.issued,
            expires: self.validity.expires,
            state: match &self.state {
                HeadState::Live { latest, releases, older } => StateWire::Live {
                    latest: Box::new(ManifestWire::of(latest)?),
                    releases: List(releases.iter().map(EntryWire::of).collect()),
                    older: older.as_ref().map(LinkWire::of),
                },
                HeadState::Withdrawn { reason } => {
                    StateWire::Withdrawn { reason: Text::of(reason) }
                }
            },
            ext: Bytes(&self.ext),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let wire: HeadWire<'_> = codec::decode_strict(bytes)?;
        let name: PackageName = wire.name.0.parse()?;
        if let StateWire::Live { latest, .. } = &wire.state {
            latest.check_size(bytes.len())?;
        }
        Ok(Self {
            network: wire.network.0.parse()?,
            owner: wire::owner_of(&wire.owner)?,
            revision: Revision::new(wire.epoch, wire.sequence),
            validity: Validity { issued: wire.issued, expires: wire.expires },
            state: match wire.state {
                StateWire::Live { latest, releases, older } => HeadState::Live {
                    latest: Box::new(latest.into_manifest(name.clone())?),
                    releases: wire::entries(releases)?,
                    older: older.map(LinkWire::into_link),
                },
                StateWire::Withdrawn { reason } => {
                    HeadState::Withdrawn { reason: reason.into_string() }
                }
            },
            name,
            ext: wire.ext.0.to_vec(),
        })
    }
}

impl Placed for Head {
    fn key(&self, _digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::head(&self.network, &self.owner, &self.name)
    }
}
