use libp2p::{PeerId, identity::Keypair};

use super::{
    body::sealed::Wire,
    codec,
    delegation::Delegation,
    entry::{EntryWire, PageLink, ReleaseEntry},
    envelope::MAX_BODY_BYTES,
    head::{Head, HeadState},
    key::RecordKey,
    limits::MAX_RELEASES,
    network::NetworkName,
    page::Page,
    rejected::Rejected,
    revision::Revision,
    signed::Signed,
    validity::Validity,
};
use crate::{
    error::{Error, Result},
    package::{Digest, Manifest, PackageName},
};

/// How many releases move from a head to the pages at a time.
const BLOCK: usize = 8;

/// A list of releases, cut so that each part fits into a record: what [`paginate`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pagination {
    /// The newest releases, newest first, for the head.
    pub inline: Vec<ReleaseEntry>,
    /// Where the list continues, for the head.
    pub older: Option<PageLink>,
    /// The pages, oldest first. They should be stored before the head that links to them.
    pub pages: Vec<Signed<Page>>,
}

/// Cuts a list of releases into a part that fits into the head beside its latest manifest and an
/// `ext` of so many bytes, and pages for the rest. The list may be in any order.
///
/// Pages are filled from the oldest release on, and in blocks, so that publishing a newer one leaves all
/// pages as they were, but the newest one once in a while. Inserting or yanking an old one changes its page and those after it.
///
/// # Errors
///
/// [`Error::Invalid`] when there are no releases, more than [`MAX_RELEASES`], or a version twice, whatever
/// its build metadata, or when the key pair is not Ed25519; [`Error::TooLarge`] when the manifest leaves no room.
pub fn paginate(
    keypair: &Keypair,
    network: &NetworkName,
    latest: &Manifest,
    ext_bytes: usize,
    releases: Vec<ReleaseEntry>,
) -> Result<Pagination> {
    let author = Author { keypair, network, owner: keypair.public().to_peer_id(), ext: Vec::new() };
    author.paginate(latest, ext_bytes, releases)
}

/// As [`paginate`], for a publisher: its delegation goes into the `ext` of each page. The `ext` of the head, of so many
/// bytes, is the delegation and perhaps notes.
///
/// # Errors
///
/// As [`paginate`], and [`Error::Invalid`] when the key pair is not the one in the delegation.
pub fn paginate_delegated(
    keypair: &Keypair,
    delegation: &Delegation,
    latest: &Manifest,
    ext_bytes: usize,
    releases: Vec<ReleaseEntry>,
) -> Result<Pagination> {
    let (network, owner, ext) = (delegation.network(), delegation.owner(), delegation.to_ext());
    Author { keypair, network, owner, ext }.paginate(latest, ext_bytes, releases)
}

/// Who signs pages, and whose.
struct Author<'a> {
    keypair: &'a Keypair,
    network: &'a NetworkName,
    owner: PeerId,
    /// What each page carries.
    ext: Vec<u8>,
}

impl Author<'_> {
    fn paginate(
        self,
        latest: &Manifest,
        ext_bytes: usize,
        mut releases: Vec<ReleaseEntry>,
    ) -> Result<Pagination> {
        let Self { keypair, network, owner, ext } = self;
        if !(1..=MAX_RELEASES).contains(&releases.len()) {
            let reason = format!("has {} items; 1 to {MAX_RELEASES} are accepted", releases.len());
            return Err(Error::invalid("releases", reason));
        }
        releases.sort_unstable_by(|a, b| b.version.cmp(&a.version));
        if let Some([twice, _]) = releases
            .windows(2)
            .filter_map(|pair| <&[ReleaseEntry; 2]>::try_from(pair).ok())
            .find(|[newer, older]| newer.is_same_release(&older.version))
        {
            let reason = format!("has version {} twice; each is accepted once", twice.version);
            return Err(Error::invalid("releases", reason));
        }
        let room = room_in_head(network, &owner, latest, ext_bytes)?;
        let fitting_inline = fitting(releases.iter(), Head::MAX_INLINE_RELEASES, room)?;
        let inline = in_blocks(releases.len(), fitting_inline);
        let mut rest = releases.split_off(inline);
        let inline = releases;

        let room = room_in_page(network, &owner, &latest.name, ext.len())?;
        let mut older: Option<PageLink> = None;
        let mut pages = Vec::new();
        while !rest.is_empty() {
            let count = fitting(rest.iter().rev(), Page::MAX_RELEASES, room)?;
            let part = rest.split_off(rest.len().saturating_sub(count));
            let behind = older.map_or(0, |link| link.count);
            let count = behind.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
            let mut page = Page::new(network.clone(), owner, latest.name.clone(), part, older);
            page.ext.clone_from(&ext);
            let page = Signed::sign(keypair, page)?;
            older = Some(PageLink { digest: page.digest(), count });
            pages.push(page);
        }
        Ok(Pagination { inline, older, pages })
    }
}

/// How many of so many releases stay in the head, where so many would fit. The others go to the pages a
/// block at a time: a page is written once, so one that grew with every release would leave a page behind
/// with every release.
fn in_blocks(releases: usize, fitting: usize) -> usize {
    let paged = releases.saturating_sub(fitting).next_multiple_of(BLOCK);
    releases.saturating_sub(paged).max(1)
}

/// How many of these fit, at least one.
fn fitting<'a>(
    entries: impl Iterator<Item = &'a ReleaseEntry>,
    most: usize,
    mut room: usize,
) -> Result<usize> {
    let mut count = 0;
    for entry in entries.take(most) {
        let size = codec::encode(&EntryWire::of(entry))?.len();
        let Some(left) = room.checked_sub(size) else {
            if count == 0 {
                return Err(Error::TooLarge { what: "release".into(), size, max: room });
            }
            break;
        };
        room = left;
        count += 1;
    }
    Ok(count)
}

/// The bytes for releases in a head, when all of its numbers are of their greatest length.
fn room_in_head(
    network: &NetworkName,
    owner: &PeerId,
    latest: &Manifest,
    ext_bytes: usize,
) -> Result<usize> {
    let revision = Revision::new(u32::MAX, u64::MAX);
    let validity = Validity { issued: u64::MAX, expires: u64::MAX };
    let link = Some(longest_link());
    let (network, latest) = (network.clone(), latest.clone());
    let mut head = Head::live(network, *owner, revision, validity, latest, Vec::new(), link);
    head.ext = vec![0; ext_bytes];
    let size = head.encode()?.len();
    MAX_BODY_BYTES.checked_sub(size).ok_or(Error::TooLarge {
        what: "head without releases".into(),
        size,
        max: MAX_BODY_BYTES,
    })
}

/// The bytes for releases in a page.
fn room_in_page(
    network: &NetworkName,
    owner: &PeerId,
    name: &PackageName,
    ext_bytes: usize,
) -> Result<usize> {
    let link = Some(longest_link());
    let mut page = Page::new(network.clone(), *owner, name.clone(), Vec::new(), link);
    page.ext = vec![0; ext_bytes];
    Ok(MAX_BODY_BYTES.saturating_sub(page.encode()?.len()))
}

fn longest_link() -> PageLink {
    PageLink { digest: Digest::from_bytes([0; 32]), count: u32::MAX }
}

/// A list of releases that is put together again: those of a head, and then page by page.
///
/// ```
/// # use peerage::{package::*, record::*};
/// # let keypair = libp2p::identity::Keypair::generate_ed25519();
/// # let (network, owner) = (NetworkName::default(), keypair.public().to_peer_id());
/// # let latest = Manifest::new("tiny-http".parse()?, semver::Version::new(99, 0, 0));
/// # let releases = (0..100).map(|n| ReleaseEntry {
/// #     version: semver::Version::new(n, 0, 0), digest: Digest::of([n as u8]), yanked: false,
/// # }).collect();
/// # let Pagination { inline, older, pages } = paginate(&keypair, &network, &latest, 0, releases)?;
/// # let validity = Validity::starting(0, 60);
/// # let head = Head::live(network, owner, Revision::new(0, 1), validity, latest, inline, older);
/// # let look_up = |key| pages.iter().find(|page| page.key() == key).unwrap();
/// let mut list = ReleaseList::of(&head);
/// while let Some(key) = list.awaits() {
///     list.accept(look_up(key))?;
/// }
/// assert_eq!(list.releases().len(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseList {
    network: NetworkName,
    owner: PeerId,
    name: PackageName,
    releases: Vec<ReleaseEntry>,
    next: Option<PageLink>,
}

impl ReleaseList {
    /// The list as far as it is in the head. That of a package that is withdrawn is empty.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        let (releases, next) = match &head.state {
            HeadState::Live { releases, older, .. } => (releases.clone(), *older),
            HeadState::Withdrawn { .. } => (Vec::new(), None),
        };
        let (network, owner, name) = (head.network.clone(), head.owner, head.name.clone());
        Self { network, owner, name, releases, next }
    }

    /// The key of the page that is missing next, or `None` when the list is complete.
    #[must_use]
    pub fn awaits(&self) -> Option<RecordKey> {
        let link = self.next.as_ref()?;
        Some(RecordKey::page(&self.network, &self.owner, &self.name, &link.digest))
    }

    /// Continues the list with the page that is missing next.
    ///
    /// # Errors
    ///
    /// [`Rejected::Page`] when it is not that page, or when its owner has linked what does not
    /// continue the list. The list is as it was.
    pub fn accept(&mut self, page: &Signed<Page>) -> Result<(), Rejected> {
        let rejected = |reason| Err(Rejected::Page { reason });
        let Some(link) = &self.next else { return rejected("the list is complete") };
        if page.digest() != link.digest {
            return rejected("it has another digest than the link");
        }
        // The digest is over these, but the owner may have linked to a page of another package.
        if (&page.network, &page.owner, &page.name) != (&self.network, &self.owner, &self.name) {
            return rejected("it is of another package");
        }
        let behind = page.older.map_or(0, |older| older.count);
        let count = u32::try_from(page.releases.len()).ok().and_then(|n| n.checked_add(behind));
        if count != Some(link.count) {
            return rejected("it has another number of releases than the link");
        }
        if let (Some(last), Some(first)) = (self.releases.last(), page.releases.first())
            && first.version >= last.version
        {
            return rejected("it is not older than the list so far");
        }
        self.releases.extend(page.releases.iter().cloned());
        self.next = page.older;
        Ok(())
    }

    /// How many releases there are, with those that are missing: as their owner has counted these.
    #[must_use]
    pub fn total(&self) -> usize {
        let missing = self.next.map_or(0, |link| usize::try_from(link.count).unwrap_or(usize::MAX));
        self.releases.len().saturating_add(missing)
    }

    /// The releases so far, newest first.
    #[must_use]
    pub fn releases(&self) -> &[ReleaseEntry] {
        &self.releases
    }

    /// The releases so far, newest first.
    #[must_use]
    pub fn into_releases(self) -> Vec<ReleaseEntry> {
        self.releases
    }
}
