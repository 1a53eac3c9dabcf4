//! The engine's record store as Kademlia sees it.

use std::{borrow::Cow, iter, vec};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey as KadKey,
        store::{Error, RecordStore, Result},
    },
};

use crate::{
    engine::{Refused, SharedStore},
    record::RecordKey,
};

/// Lets Kademlia read and fill the store. What the store refuses, Kademlia answers by resetting the stream,
/// so that an acknowledgement means stored.
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
        // Own records name this node as publisher, so that Kademlia's replication leaves them to the engine.
        let publisher = own.then_some(self.local);
        Record { key: KadKey::new(&key.as_bytes()), value, publisher, expires: None }
    }
}

impl RecordStore for KadStore {
    type RecordsIter<'a> = vec::IntoIter<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &KadKey) -> Option<Cow<'_, Record>> {
        let key = RecordKey::try_from(key.as_ref()).ok()?;
        let (value, own) = self.store.bytes(&key)?;
        Some(Cow::Owned(self.record(&key, value, own)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        let refused = match RecordKey::try_from(record.key.as_ref()) {
            Ok(key) => match self.store.insert(&key, &record.value) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            },
            Err(_) => Refused::NotOurs,
        };
        tracing::debug!(key = ?record.key, %refused, "record refused");
        Err(match refused {
            Refused::Full | Refused::Quota => Error::MaxRecords,
            // libp2p has no word for "not valid".
            Refused::NotOurs | Refused::Older | Refused::Rejected(_) => Error::ValueTooLarge,
        })
    }

    /// Kademlia removes what it takes for expired. Only the store decides that here.
    fn remove(&mut self, _: &KadKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        let records: Vec<_> = self
            .store
            .all()
            .into_iter()
            .map(|(key, value, own)| Cow::Owned(self.record(&key, value, own)))
            .collect();
        records.into_iter()
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
