use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    body::sealed::{Common, Placed, Succession, Wire},
    codec::Text,
    entry::{ListWire, PageLink, ReleaseEntry, check_releases},
    key::RecordKey,
    kind::Kind,
    manifest::{ManifestWire, check_owned_manifest},
    network::NetworkName,
    notes::Notes,
    rejected::Rejected,
    revision::{Rank, Revision},
    validity::Validity,
    wire::StartWire,
};
use crate::{
    error::{Error, Result},
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

/// What a head has of its own, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeadFields<'a> {
    #[serde(borrow)]
    start: StartWire<'a>,
    #[serde(borrow)]
    state: StateWire<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
enum StateWire<'a> {
    Live {
        #[serde(borrow)]
        latest: Box<ManifestWire<'a>>,
        #[serde(borrow)]
        list: ListWire<'a, { Head::MAX_INLINE_RELEASES }>,
    },
    Withdrawn {
        #[serde(borrow)]
        reason: Text<'a, { Head::MAX_REASON_BYTES }>,
    },
}

impl Wire for Head {
    const KIND: Kind = Kind::Head;

    type Fields<'a> = HeadFields<'a>;

    fn common(&self) -> Common<'_> {
        Common { network: &self.network, owner: &self.owner, ext: &self.ext }
    }

    fn to_fields(&self) -> Result<HeadFields<'_>> {
        Ok(HeadFields {
            start: StartWire::of(&self.name, self.revision, self.validity),
            state: match &self.state {
                HeadState::Live { latest, releases, older } => StateWire::Live {
                    latest: Box::new(ManifestWire::of(latest)?),
                    list: ListWire::of(releases, older.as_ref()),
                },
                HeadState::Withdrawn { reason } => {
                    StateWire::Withdrawn { reason: Text::of(reason) }
                }
            },
        })
    }

    fn from_fields(common: Common<'_>, fields: HeadFields<'_>) -> Result<Self, Rejected> {
        let HeadFields { start: StartWire { name, revision, validity }, state } = fields;
        let name: PackageName = name.0.parse()?;
        let state = match state {
            StateWire::Live { latest, list } => {
                let latest = Box::new(latest.into_manifest(name.clone())?);
                let (releases, older) = list.into_list()?;
                HeadState::Live { latest, releases, older }
            }
            StateWire::Withdrawn { reason } => {
                HeadState::Withdrawn { reason: reason.into_string() }
            }
        };
        let (network, owner, ext) = common.owned();
        Ok(Self { network, owner, name, revision, validity, state, ext })
    }

    fn validate(&self, origin: Origin) -> Result<()> {
        self.state.validate(&self.owner, &self.name, origin)
    }

    fn check_written(fields: &HeadFields<'_>, body: usize) -> Result<()> {
        match &fields.state {
            StateWire::Live { latest, .. } => latest.check_size(body),
            StateWire::Withdrawn { .. } => Ok(()),
        }
    }

    fn succession(&self) -> Option<Succession<'_>> {
        Some(Succession { name: &self.name, rank: self.rank(), validity: self.validity })
    }
}

impl Placed for Head {
    fn key(&self, _digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::head(&self.network, &self.owner, &self.name)
    }
}
