//! The engine's record store as Kademlia sees it.

use std::{borrow::Cow, iter};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey as KadKey,
        store::{Error, RecordStore, Result},
    },
};

use crate::{
    engine::{Hearing, Refused, SharedStore},
    net::{Audience, Verdict},
    record::RecordKey,
};

/// Lets Kademlia read and fill the store. What the store refuses is answered with something else than an
/// acknowledgement, so that an acknowledgement means stored.
#[derive(Debug)]
pub(crate) struct KadStore {
    store: SharedStore,
    local: PeerId,
}

impl KadStore {
    pub(crate) fn new(store: SharedStore, local: PeerId) -> Self {
        Self { store, local }
    }

    fn record(&self, key: &RecordKey, value: Vec<u8>, own: bool) -> Record {
        let publisher = own.then_some(self.local);
        Record { key: KadKey::new(&key.as_bytes()), value, publisher, expires: None }
    }
}

impl RecordStore for KadStore {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &KadKey) -> Option<Cow<'_, Record>> {
        let key = RecordKey::try_from(key.as_ref()).ok()?;
        if !self.store.serves() {
            return None;
        }
        let (value, own) = self.store.bytes(&key)?;
        Some(Cow::Owned(self.record(&key, value, own)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        if record.publisher == Some(self.local)
            && let Ok(key) = RecordKey::try_from(record.key.as_ref())
            && self.store.holds(&key, &record.value)
        {
            // Put by this node itself, to others: Kademlia lets nothing through that a peer sends in this
            // node's name. It is no sign that others care for it.
            return Ok(());
        }
        let Err(refused) = self.store.offer(record.key.as_ref(), &record.value) else {
            return Ok(());
        };
        tracing::debug!(key = ?record.key, %refused, "record refused");
        Err(match refused {
            Refused::Full | Refused::Quota | Refused::PeerQuota | Refused::Rate => {
                Error::MaxRecords
            }
            // libp2p has no word for "not valid".
            Refused::NotOurs | Refused::Older | Refused::Withdrawn | Refused::Rejected(_) => {
                Error::ValueTooLarge
            }
        })
    }

    /// Kademlia removes what it takes for expired. Only the store decides that here.
    fn remove(&mut self, _: &KadKey) {}

    /// Kademlia would ask for them to replicate them, which the engine does.
    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, _: ProviderRecord) -> Result<()> {
        // Packages have owners who sign, not providers who merely say so.
        Err(Error::MaxProvidedKeys)
    }

    fn providers(&self, _: &KadKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, _: &KadKey, _: &PeerId) {}
}

impl Audience for KadStore {
    fn hear(&mut self, peer: PeerId) -> Verdict {
        match self.store.hear(peer) {
            // Who is not served is still listened to: it may be answering what this node asks.
            Hearing::Served | Hearing::Unserved => Verdict::Listen,
            Hearing::Closed => Verdict::Close,
        }
    }

    fn fall_silent(&mut self) {
        self.store.fall_silent();
    }

    fn ask(&mut self) {
        self.store.ask();
    }
}
