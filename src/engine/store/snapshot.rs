//! What a store knows, as bytes and back.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Held, SharedStore, Speaker, Standing, Store,
    high_water::Remembered,
    wire::{
        EpochWire, HeadWire, Kept, MarkWire, PinWire, RecordWire, Unheard, UnheardWire, append,
        encode_epoch, encode_head, encode_pin, invalid, malformed, take,
    },
};
use crate::{
    error::Result,
    keyspace::Key,
    package::{PackageName, owner_from_key},
    record::{Head, NetworkName, Record, RecordKey, Rejected, Signed, Verifier},
};

const MAGIC: &[u8] = b"peerage snapshot";

/// The format that is written. In the first one, records said in full who had put them; it is read as well.
const FORMAT: u8 = 2;

const CHECKSUM_BYTES: usize = 32;

/// What a node knows and would not know again after a restart: the records that it holds for the network and has
/// published itself, how far each package and each owner's epochs had come that it has seen, whom bare names mean, the
/// announcements that nobody has heard yet, and the catalogue.
///
/// [`Handle::snapshot`](crate::Handle::snapshot) takes one, at shutdown and now and then in between;
/// [`NodeBuilder::with_snapshot`](crate::NodeBuilder::with_snapshot) starts a node from it. What the old node
/// refused because it had seen something newer, the new one refuses too. A node with a storage that has just started has
/// not read all of that yet: a snapshot is whole once [`StorageReport::is_restored`](crate::storage::StorageReport) says so.
///
/// Nothing of it is lost for the date that the calendar shows at the start, so that a machine without a clock of its own
/// may start with any: what is out of its time by it is hidden, is there again once the calendar is right, and is dropped
/// no sooner than after an hour.
///
/// Of a node with a [storage](crate::storage), records of others that lie there alone are not part of it.
///
/// Keep it where you keep the node's key: on your own disk. Records are verified again when a node starts from
/// it, so that nobody can have them say what their owners did not. But who can write the file can forget
/// sequences, or raise them so that true records are refused, and can pin names. The checksum finds accidents,
/// not these.
///
/// Its size is that of the records, at most [`Limits::store_bytes`](crate::Limits::store_bytes) and this node's
/// own, at most [`Limits::catalogue_bytes`](crate::Limits::catalogue_bytes) of the catalogue, that of the announcements,
/// and up to 120 bytes for each package, pin and record.
///
/// ```
/// use peerage::Snapshot;
///
/// # fn start() -> peerage::Result<()> {
/// # let bytes = Vec::new();
/// let snapshot = Snapshot::from_bytes(&bytes)?;
/// # let keypair = peerage::identity::Keypair::generate_ed25519();
/// let (node, handle) =
///     peerage::Node::builder(keypair, peerage::Config::new()).with_snapshot(snapshot).build()?;
/// # Ok(()) }
/// assert!(Snapshot::from_bytes(b"something else").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) network: NetworkName,
    pub(super) records: Vec<Kept>,
    /// What an earlier life has published itself, as rows of a storage say. A file does not tell these from the others.
    pub(super) own: Vec<Kept>,
    pub(super) marks: Vec<Remembered>,
    pub(super) pins: Vec<(PackageName, PeerId)>,
    pub(super) epochs: Vec<(PeerId, u32)>,
    pub(super) outbox: Vec<Unheard>,
    /// The heads in the catalogue, as they were signed.
    pub(super) catalogue: Vec<Arc<[u8]>>,
}

// The file: magic, format (1 byte), network (length and text), sections, and the SHA-256 of all this.
//
// A section is its tag (1 byte), a length, and its entries one after the other. Sections come in the order of
// their tags, and those without entries are left out, so that one state has one file. A tag that is not known
// was written by a later version, which says so by its format; a section that later versions add within this
// format takes the next tag, and a file without it reads as one that knows nothing of the matter.
const RECORDS: u8 = 1;
const MARKS: u8 = 2;
const PINS: u8 = 3;
const EPOCHS: u8 = 4;
const OUTBOX: u8 = 5;
const CATALOGUE: u8 = 6;

#[derive(Serialize, Deserialize)]
struct SectionWire<'a> {
    tag: u8,
    body: &'a [u8],
}

impl Snapshot {
    /// The snapshot as a file holds it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [MAGIC, &[FORMAT]].concat();
        append(&mut bytes, &self.network.as_str());
        section(&mut bytes, RECORDS, self.records.iter().map(Kept::encode));
        section(&mut bytes, MARKS, self.marks.iter().map(Remembered::encode));
        section(&mut bytes, PINS, self.pins.iter().map(|(name, owner)| encode_pin(name, owner)));
        let epochs = self.epochs.iter().map(|(owner, epoch)| encode_epoch(owner, *epoch));
        section(&mut bytes, EPOCHS, epochs);
        section(&mut bytes, OUTBOX, self.outbox.iter().map(Unheard::encode));
        section(&mut bytes, CATALOGUE, self.catalogue.iter().map(|head| encode_head(head)));
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads a file. Takes memory in proportion to the file's length, whatever is in it.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for anything that [`to_bytes`](Self::to_bytes) has not written: a file
    /// that is cut short, altered, of another format, or something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (content, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or_else(|| invalid("is too short to be one"))?;
        let rest = content.strip_prefix(MAGIC).ok_or_else(|| invalid("is something else"))?;
        let Some((1..=FORMAT, rest)) = rest.split_first() else {
            return Err(invalid("is of a format that this version does not read"));
        };
        if Sha256::digest(content)[..] != checksum[..] {
            return Err(invalid("has been damaged: its checksum differs"));
        }
        let (network, mut rest) = take::<&str>(rest)?;
        let mut snapshot = Self::empty(network.parse().map_err(|_| malformed())?);
        while !rest.is_empty() {
            let (section, following) = take::<SectionWire<'_>>(rest)?;
            snapshot.read_section(section.tag, section.body)?;
            rest = following;
        }
        // Numbers have longer spellings, and sections and entries other orders: one state has one file.
        if snapshot.to_bytes() != bytes {
            return Err(malformed());
        }
        Ok(snapshot)
    }

    pub(super) fn empty(network: NetworkName) -> Self {
        Self {
            network,
            records: Vec::new(),
            own: Vec::new(),
            marks: Vec::new(),
            pins: Vec::new(),
            epochs: Vec::new(),
            outbox: Vec::new(),
            catalogue: Vec::new(),
        }
    }

    fn read_section(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        match tag {
            RECORDS => read_into(&mut self.records, body, RecordWire::read),
            MARKS => read_into(&mut self.marks, body, MarkWire::read),
            PINS => read_into(&mut self.pins, body, PinWire::read),
            EPOCHS => read_into(&mut self.epochs, body, EpochWire::read),
            OUTBOX => read_into(&mut self.outbox, body, UnheardWire::read),
            CATALOGUE => read_into(&mut self.catalogue, body, HeadWire::read),
            _ => Err(invalid("was written by a later version")),
        }
    }

    /// The network whose records these are.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        &self.network
    }

    /// Whom bare names meant.
    pub(crate) fn pins(&self) -> impl Iterator<Item = (&PackageName, &PeerId)> {
        self.pins.iter().map(|(name, owner)| (name, owner))
    }

    /// Announcements that nobody had heard, oldest first.
    pub(crate) fn outbox(&self) -> &[Unheard] {
        &self.outbox
    }

    pub(crate) fn with_outbox(self, outbox: Vec<Unheard>) -> Self {
        Self { outbox, ..self }
    }

    /// Adds heads that an earlier life has published and this one has not, unless they are among the records.
    pub(crate) fn with_published<'a>(
        mut self,
        heads: impl Iterator<Item = (&'a Arc<[u8]>, u64)>,
    ) -> Self {
        let held: HashSet<Arc<[u8]>> = self.records.iter().map(|kept| kept.bytes.clone()).collect();
        let lacking = heads.filter(|(bytes, _)| !held.contains(*bytes));
        let kept = lacking.map(|(bytes, until)| Kept { bytes: bytes.clone(), until, putter: None });
        self.records.extend(kept);
        self
    }

    /// The heads that were in the catalogue.
    pub(crate) fn catalogue(&self) -> &[Arc<[u8]>] {
        &self.catalogue
    }

    pub(crate) fn with_catalogue(self, catalogue: Vec<Arc<[u8]>>) -> Self {
        Self { catalogue, ..self }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("network", &self.network)
            .field("records", &self.records.len())
            .field("sequences", &self.marks.len())
            .field("pins", &self.pins.len())
            .field("epochs", &self.epochs.len())
            .field("outbox", &self.outbox.len())
            .field("catalogue", &self.catalogue.len())
            .finish()
    }
}

impl SharedStore {
    /// What the store knows, beside what bare names mean here.
    pub(crate) fn snapshot(&self, pins: Vec<(PackageName, PeerId)>) -> Snapshot {
        let store = self.lock();
        let mut snapshot = Snapshot::empty(store.network.clone());
        // The nearest first: they have the first claim to room, in a store that has become smaller.
        let all = store.records.by_expiry().map(|(_, held)| held);
        let stays = |held: &&Held| held.until() > store.certain || held.is_lasting();
        let mut held: Vec<_> = all.filter(stays).collect();
        held.sort_unstable_by_key(|held| held.distance);
        snapshot.records = held
            .into_iter()
            .map(|held| Kept {
                bytes: held.bytes().into(),
                until: held.until(),
                putter: store.putters.peer(held.putter),
            })
            .collect();
        snapshot.marks = store.high_water.all().collect();
        snapshot.pins = pins;
        snapshot.epochs = store.epochs.all().collect();
        snapshot
    }

    /// Takes in what another store knew. Records are verified as if a peer had sent them in their time, and are held as
    /// others' are, as far as there is room: what of this node's own still stands, the network has to say. Those that a
    /// storage has among this node's own stay in any case. The heads of its own packages are told, held or not, tombstones
    /// included.
    pub(crate) fn restore(&self, snapshot: &Snapshot) -> BTreeMap<PackageName, Signed<Head>> {
        let mut store = self.lock();
        // Before the records: what was refused before is refused again.
        for mark in &snapshot.marks {
            store.high_water.merge(mark.clone());
            // Epochs may have been restored before this mark.
            if mark.wanted
                && let Some(owner) = owner_from_key(&mark.owner)
            {
                store.epochs.want(&owner);
            }
        }
        for &(owner, epoch) in &snapshot.epochs {
            store.raise_epoch(owner, epoch);
        }
        let mut published = BTreeMap::new();
        for kept in &snapshot.own {
            if let Some(Record::Head(head)) = store.restore_own(kept)
                && head.owner == store.owner
            {
                published.insert(head.name.clone(), head);
            }
        }
        for kept in &snapshot.records {
            if let Some(Record::Head(head)) = store.restore(kept)
                && head.owner == store.owner
                && Key::of_peer(&head.signer()) == store.local
            {
                published.entry(head.name.clone()).or_insert(head);
            }
        }
        store.facts.clear();
        published
    }
}

impl Store {
    /// Takes in a record if there is room, and tells what it is if it is valid.
    pub(super) fn restore(&mut self, kept: &Kept) -> Option<Record> {
        match Record::claimed_key(&kept.bytes) {
            Ok(key) => self.restore_under(&key, kept),
            Err(rejected) => {
                tracing::debug!(%rejected, "record of a snapshot dropped");
                None
            }
        }
    }

    /// The same, where it is known under which key it says that it belongs.
    pub(super) fn restore_under(&mut self, key: &RecordKey, kept: &Kept) -> Option<Record> {
        if kept.until <= self.certain {
            return None;
        }
        let verified = self.verify_kept(&kept.bytes, |verifier, store, unix| {
            verifier.verify(&store.network, key, &kept.bytes, unix, store)
        });
        let record = match verified {
            Ok(record) => record,
            Err(rejected) => {
                tracing::debug!(%rejected, "record of a snapshot dropped");
                return None;
            }
        };
        let before = self.kept_until(key);
        self.speaker = kept.putter.map(Speaker::Earlier);
        let outcome = self.insert(record.clone(), Standing::Others);
        self.speaker = None;
        if let Err(refused) = outcome {
            tracing::debug!(%key, %refused, "record of a snapshot dropped");
            return Some(record);
        }
        // Those without an end of their own live no longer for it, and no shorter if the calendar is wrong now.
        if record.expires().is_none()
            && self.records.get(key).is_some_and(|held| !held.is_outside())
        {
            self.ends_at(key, before.map_or(kept.until, |before| before.max(kept.until)));
        }
        Some(record)
    }

    /// Until when a record is kept that is held, wherever it lies.
    fn kept_until(&self, key: &RecordKey) -> Option<u64> {
        let held = self.records.get(key).map(Held::until);
        held.or_else(|| Some(self.cold_record(key)?.until))
    }

    /// Verifies a record that was held: now, or at the time at which it was issued where it does not hold now, or not all
    /// of it. Whether it is served is judged by its date whenever somebody asks.
    pub(super) fn verify_kept(
        &mut self,
        bytes: &[u8],
        verify: impl Fn(&mut Verifier, &Self, u64) -> Result<Record, Rejected>,
    ) -> Result<Record, Rejected> {
        let outcome = self.verified(|verifier, store| verify(verifier, store, store.now));
        let is_whole = match &outcome {
            Ok(Record::Claims { dropped, .. }) => *dropped == 0,
            Ok(_) => true,
            Err(Rejected::Expired { .. } | Rejected::Future { .. }) => false,
            Err(_) => true,
        };
        if is_whole {
            return outcome;
        }
        match Record::claimed_issued(bytes) {
            Ok(Some(issued)) => {
                self.verified(|verifier, store| verify(verifier, store, issued)).or(outcome)
            }
            _ => outcome,
        }
    }
}

fn section(bytes: &mut Vec<u8>, tag: u8, entries: impl Iterator<Item = Vec<u8>>) {
    let body = entries.flatten().collect::<Vec<_>>();
    if !body.is_empty() {
        append(bytes, &SectionWire { tag, body: &body });
    }
}

/// Reads all entries of a section.
fn read_into<'a, W: Deserialize<'a>, T>(
    entries: &mut Vec<T>,
    mut body: &'a [u8],
    read: impl Fn(W) -> Result<T>,
) -> Result<()> {
    while !body.is_empty() {
        let (wire, rest) = take(body)?;
        entries.push(read(wire)?);
        body = rest;
    }
    Ok(())
}

impl crate::counters::Answer for Snapshot {}
