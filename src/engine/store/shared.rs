//! The store as its users see it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;

use super::{Held, Refused, Standing, Store, StoreFact};
use crate::{
    config::Config,
    counters::RecordCounters,
    package::PackageName,
    record::{Head, Kind, Message, Rank, Record, RecordKey, Rejected, Seen, Signed},
};

/// The one store of a node, shared by its two users within one poll: the node, which serves and fills it for
/// peers, and the engine. The lock is never contended.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    pub(crate) fn new(local: PeerId, config: &Config, now: u64) -> Self {
        Self(Arc::new(Mutex::new(Store::new(local, config, now))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the calendar time by which records are valid.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn set_time(&self, unix: u64) {
        self.set_doubted_time(unix, unix);
    }

    /// Sets the calendar time by which records are valid, and the time that has come for certain, by which they are
    /// dropped.
    pub(crate) fn set_doubted_time(&self, unix: u64, certain: u64) {
        let mut store = self.lock();
        (store.now, store.certain) = (unix, certain);
    }

    /// The calendar has moved by so many seconds, which may not have passed.
    pub(crate) fn calendar_moved(&self, by: i64) {
        self.lock().calendar_moved(by);
    }

    /// Sets the time by which peers earn their requests.
    pub(crate) fn set_clock(&self, mono: Duration) {
        self.lock().mono = mono;
    }

    /// Whose packages this node publishes, and the epoch that it knows them to be in.
    pub(crate) fn publishes_for(&self, owner: PeerId, epoch: u32) {
        let mut store = self.lock();
        store.owner = owner;
        store.high_water.publishes_for(owner);
        store.epochs.publishes_for(owner);
        store.epochs.raise(owner, epoch);
    }

    /// Verifies a copy of a record that was looked up, without taking it in. A head of this node's own that is
    /// older than its last one is no replay: an earlier life of the node, or a publisher before it, may have published
    /// it.
    pub(crate) fn verify(&self, key: &RecordKey, bytes: &[u8]) -> Result<Record, Rejected> {
        self.lock().verified(|verifier, store| {
            verifier.verify(&store.network, key, bytes, store.now, SeenOfOthers(store))
        })
    }

    /// Verifies a head that a peer has forwarded.
    pub(crate) fn verify_announcement(
        &self,
        bytes: &[u8],
        now: u64,
    ) -> Result<Signed<Head>, Rejected> {
        self.lock().verified(|verifier, store| {
            verifier.verify_announcement(&store.network, bytes, now, store)
        })
    }

    /// As [`verify_announcement`](Self::verify_announcement), of one that has been verified before, in the same bytes.
    pub(crate) fn verify_again(&self, head: &Signed<Head>, now: u64) -> Result<(), Rejected> {
        let store = self.lock();
        head.verify_again(&store.network, now, &*store)
    }

    /// As [`verify_announcement`](Self::verify_announcement), where a newer head of the package has been seen. One of
    /// this node's own owner may say what no newer one does: another device with its key may have signed both. Those who
    /// have been replaced are not believed.
    pub(crate) fn verify_older(&self, bytes: &[u8], now: u64) -> Result<Signed<Head>, Rejected> {
        self.lock().verified(|verifier, store| {
            verifier.verify_announcement(&store.network, bytes, now, RanksOfOthers(store))
        })
    }

    /// Verifies a head of an earlier life's catalogue, whether or not it holds by the calendar now: whoever looks at it
    /// judges its date.
    pub(crate) fn verify_kept_head(
        &self,
        bytes: &[u8],
        now: u64,
    ) -> Result<Signed<Head>, Rejected> {
        let outcome = self.verify_announcement(bytes, now);
        when_issued(bytes, outcome, |issued| self.verify_announcement(bytes, issued))
    }

    /// The same for an announcement that nobody has heard.
    pub(crate) fn verify_kept_message(
        &self,
        bytes: &[u8],
        now: u64,
    ) -> Result<Signed<Message>, Rejected> {
        let outcome = self.verify_message(bytes, now);
        when_issued(bytes, outcome, |issued| self.verify_message(bytes, issued))
    }

    /// Verifies an application's message that a peer has forwarded.
    pub(crate) fn verify_message(
        &self,
        bytes: &[u8],
        now: u64,
    ) -> Result<Signed<Message>, Rejected> {
        self.lock().verified(|verifier, store| verifier.verify_message(&store.network, bytes, now))
    }

    /// The storage has more sequences than this node's own, which are being read: what others have signed cannot be judged
    /// until then.
    pub(crate) fn await_sequences(&self) {
        self.lock().high_water.set_partial(true);
    }

    /// All sequences have been read.
    pub(crate) fn sequences_read(&self) {
        self.lock().high_water.set_partial(false);
    }

    /// Whether sequences are being read, so that what others have signed cannot be judged yet.
    pub(crate) fn awaits_sequences(&self) -> bool {
        self.lock().high_water.is_partial()
    }

    /// Whether what is found under this key is judged by sequences that are being read: not where one of this node's own
    /// records lies.
    pub(crate) fn awaits_sequence_of(&self, key: &RecordKey) -> bool {
        let store = self.lock();
        store.high_water.is_partial() && !store.records.get(key).is_some_and(Held::is_outside)
    }

    /// Verifies a record that a peer sent, and takes it in.
    pub(crate) fn insert(&self, key: &RecordKey, bytes: &[u8]) -> Result<(), Refused> {
        if self.is_away(key) || self.awaits_sequences() {
            // Whoever serves peers has it fetched first, unless too many wait. Nothing takes its place unseen.
            return Err(Refused::Away);
        }
        let mut store = self.lock();
        if let Some(held) = store.live(key)
            && *held.bytes() == *bytes
        {
            // The same bytes were verified before.
            store.renew(key);
            return Ok(());
        }
        let record = store.verify(key, bytes)?;
        store.insert(record, Standing::Others)
    }

    /// Takes over which signatures another store has verified.
    #[cfg(test)]
    pub(crate) fn know_signatures_of(&self, other: &Self) {
        let verifier = other.lock().verifier.clone();
        self.lock().verifier = verifier;
    }

    /// Forgets which signatures have been verified, as after many others.
    #[cfg(test)]
    pub(crate) fn forget_signatures(&self) {
        self.lock().verifier = crate::record::Verifier::default();
    }

    /// How many signatures have been verified since they were last forgotten.
    #[cfg(test)]
    pub(crate) fn signatures_verified(&self) -> u64 {
        self.lock().verifier.signatures_verified()
    }

    /// Remembers the sequence of a head that was seen, stored or not.
    pub(crate) fn raise_high_water(&self, head: &Head) {
        let mut store = self.lock();
        store.high_water.raise(head);
        store.raise_epoch(head.owner, head.revision.epoch);
    }

    /// Remembers the epochs of a record that was seen, stored or not.
    pub(crate) fn raise_epochs(&self, record: &Record) {
        self.lock().raise_epochs(record);
    }

    /// The owners that have gone on to a higher epoch since the last time.
    pub(crate) fn take_raised(&self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.lock().raised)
    }

    /// The highest epoch seen of an owner.
    pub(crate) fn epoch(&self, owner: &PeerId) -> u32 {
        self.lock().epochs.floor(owner)
    }

    /// The application has been told what this package's head says: its sequence and its owner's epoch are the last to
    /// be forgotten.
    pub(crate) fn want(&self, owner: &PeerId, name: &PackageName) {
        let mut store = self.lock();
        store.high_water.want(owner, name);
        store.epochs.want(owner);
    }

    /// The highest rank seen of a package's records of this kind.
    pub(crate) fn high_water(
        &self,
        kind: Kind,
        owner: &PeerId,
        name: &PackageName,
    ) -> Option<Rank> {
        self.lock().newest_seen(kind, owner, name)
    }

    /// Whether the application has been told of this package, as far as is remembered.
    pub(crate) fn is_wanted(&self, owner: &PeerId, name: &PackageName) -> bool {
        self.lock().high_water.is_wanted(owner, name)
    }

    /// Whether a newer head of the same package has been seen.
    pub(crate) fn is_overtaken(&self, head: &Head) -> bool {
        let mark = self.high_water(Kind::Head, &head.owner, &head.name);
        mark.is_some_and(|mark| head.rank() < mark)
    }

    /// Whether the publisher who has signed this has been replaced, as far as has been seen.
    pub(crate) fn is_revoked(&self, head: &Signed<Head>) -> bool {
        head.is_delegated() && head.revision.epoch < self.epoch(&head.owner)
    }

    /// Whether it is news that there are two heads of this one's revision.
    pub(crate) fn is_news_of_equivocation(&self, head: &Head) -> bool {
        self.lock().high_water.is_news(head)
    }

    /// Drops what is held of a package whose owner has withdrawn it. The tombstone takes the place of a head
    /// that is held; where none is, it is not taken in.
    pub(crate) fn withdraw(&self, tombstone: &Signed<Head>) -> Result<(), Refused> {
        let mut store = self.lock();
        let key = tombstone.key();
        let is_held = store.live(&key).is_some() || store.cold_record(&key).is_some();
        if is_held || store.records.get(&key).is_some_and(Held::is_outside) {
            return store.insert(Record::Head(tombstone.clone()), Standing::Others);
        }
        store.purge(&(tombstone.owner, tombstone.name.clone()));
        Ok(())
    }

    /// One of this node's own records.
    pub(crate) fn own(&self, key: &RecordKey) -> Option<Record> {
        let store = self.lock();
        // A set of claims is everybody's, and this node may not know all of it.
        store.live(key).filter(|held| held.is_own() && !held.is_claims())?.record()
    }

    /// What is held under this key for others.
    pub(crate) fn held(&self, key: &RecordKey) -> Option<Record> {
        let store = self.lock();
        store.live(key).filter(|held| !held.is_own())?.record()
    }

    /// What is held under this key, for somebody who asks, and whether it is this node's own.
    pub(crate) fn bytes(&self, key: &RecordKey) -> Option<(Vec<u8>, bool)> {
        let mut store = self.lock();
        store.records.touch(key);
        let held = store.live(key)?;
        Some((held.bytes().to_vec(), held.is_own()))
    }

    /// Whether these bytes are held under this key.
    pub(crate) fn holds(&self, key: &RecordKey, bytes: &[u8]) -> bool {
        self.lock().live(key).is_some_and(|held| *held.bytes() == *bytes)
    }

    /// Whether a replica of others' is held under this key that differs from these bytes.
    pub(crate) fn holds_another(&self, key: &RecordKey, bytes: &[u8]) -> bool {
        let store = self.lock();
        store.live(key).is_some_and(|held| !held.is_own() && *held.bytes() != *bytes)
    }

    /// At most `budget` records of others that are to be put to those that are now closest to them.
    pub(crate) fn take_due(&self, budget: usize) -> Vec<Record> {
        let mut store = self.lock();
        std::iter::from_fn(|| store.take_due()).take(budget).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The bytes of the records that are held for others, as they are on the wire.
    pub(crate) fn bytes_held(&self) -> u64 {
        u64::try_from(self.lock().held.bytes).unwrap_or(u64::MAX)
    }

    /// What peers have put here.
    pub(crate) fn counters(&self) -> RecordCounters {
        self.lock().counters
    }

    pub(crate) fn sweep(&self, budget: usize) {
        let mut store = self.lock();
        store.sweep(budget);
        store.look_through();
    }

    pub(crate) fn next_fact(&self) -> Option<StoreFact> {
        let mut store = self.lock();
        store.facts.pop_front().or_else(|| store.refusals.pop_front())
    }
}

/// What comes of verifying bytes at the time at which they say that they were issued, if they were refused for their time.
fn when_issued<T>(
    bytes: &[u8],
    outcome: Result<T, Rejected>,
    verify: impl FnOnce(u64) -> Result<T, Rejected>,
) -> Result<T, Rejected> {
    match (outcome, Record::claimed_issued(bytes)) {
        (Err(Rejected::Expired { .. } | Rejected::Future { .. }), Ok(Some(issued))) => {
            verify(issued)
        }
        (outcome, _) => outcome,
    }
}

/// What has been seen of all owners but the one that this node publishes for.
struct SeenOfOthers<'a>(&'a Store);

impl Seen for SeenOfOthers<'_> {
    fn rank(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        if *owner == self.0.owner { None } else { self.0.rank(kind, owner, name) }
    }

    fn epoch(&self, owner: &PeerId) -> u32 {
        if *owner == self.0.owner { 0 } else { self.0.epoch(owner) }
    }
}

/// What has been seen of all owners, but for the ranks of the one that this node publishes for.
pub(super) struct RanksOfOthers<'a>(pub(super) &'a Store);

impl Seen for RanksOfOthers<'_> {
    fn rank(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        SeenOfOthers(self.0).rank(kind, owner, name)
    }

    fn epoch(&self, owner: &PeerId) -> u32 {
        self.0.epoch(owner)
    }
}
