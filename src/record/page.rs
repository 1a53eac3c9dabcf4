use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    body::sealed::{Common, Placed, Wire},
    entry::{ListWire, PageLink, ReleaseEntry, check_releases},
    key::RecordKey,
    kind::Kind,
    network::NetworkName,
    rejected::Rejected,
    wire::NameText,
};
use crate::{
    error::Result,
    package::{Digest, Origin, PackageName},
};

/// A part of a list of releases that has outgrown its head: written once, found by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who publishes the package.
    pub owner: PeerId,
    /// The package's name.
    pub name: PackageName,
    /// The releases, newest first: 1 to 100 of them.
    pub releases: Vec<ReleaseEntry>,
    /// Where the list continues.
    pub older: Option<PageLink>,
    /// What the owner delegates, or what later versions sign; at most 512 bytes. See the
    /// [module](super).
    pub ext: Vec<u8>,
}

impl Page {
    /// The most releases of one page.
    pub const MAX_RELEASES: usize = 100;

    /// A page of these releases, newest first.
    #[must_use]
    pub fn new(
        network: NetworkName,
        owner: PeerId,
        name: PackageName,
        releases: Vec<ReleaseEntry>,
        older: Option<PageLink>,
    ) -> Self {
        Self { network, owner, name, releases, older, ext: Vec::new() }
    }
}

/// What a page has of its own, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct PageFields<'a> {
    #[serde(borrow)]
    name: NameText<'a>,
    #[serde(borrow)]
    list: ListWire<'a, { Page::MAX_RELEASES }>,
}

impl Wire for Page {
    const KIND: Kind = Kind::Page;

    type Fields<'a> = PageFields<'a>;

    fn common(&self) -> Common<'_> {
        Common { network: &self.network, owner: &self.owner, ext: &self.ext }
    }

    fn to_fields(&self) -> Result<PageFields<'_>> {
        let list = ListWire::of(&self.releases, self.older.as_ref());
        Ok(PageFields { name: NameText::of(self.name.as_str()), list })
    }

    fn from_fields(common: Common<'_>, fields: PageFields<'_>) -> Result<Self, Rejected> {
        let name = fields.name.0.parse()?;
        let (releases, older) = fields.list.into_list()?;
        let (network, owner, ext) = common.owned();
        Ok(Self { network, owner, name, releases, older, ext })
    }

    fn validate(&self, _origin: Origin) -> Result<()> {
        check_releases(&self.releases, self.older.as_ref(), Self::MAX_RELEASES)
    }
}

impl Placed for Page {
    fn key(&self, digest: impl FnOnce() -> Digest) -> RecordKey {
        RecordKey::page(&self.network, &self.owner, &self.name, &digest())
    }
}
