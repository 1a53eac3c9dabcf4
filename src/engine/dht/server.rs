//! What others ask, and what they are told.

use libp2p::PeerId;

use super::{
    Dht,
    message::{Contact, Request, Response, Told, Value},
    table::Entry,
};
use crate::keyspace::{Key, REPLICAS};

/// The records that are kept for the network, as the peer that asks finds them.
pub(crate) trait Records {
    /// What is kept under a key, if whoever asks is to be told.
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>>;

    /// Whoever asks puts a record. Whether it is kept.
    fn put(&mut self, value: &Value) -> bool;
}

impl Dht {
    /// The answer to what a peer asks.
    pub(crate) fn serve(
        &self,
        asker: &PeerId,
        request: Request,
        records: &mut impl Records,
    ) -> Response {
        match request {
            Request::FindNode { key } | Request::GetProviders { key } => {
                Response::Closer { peers: self.closer(asker, &key) }
            }
            Request::GetValue { key } => {
                let value = records.get(&key);
                let closer = self.closer(asker, &key);
                let value = value.map(|bytes| Value { key, bytes: bytes.into() });
                Response::Found { value, closer }
            }
            Request::PutValue(value) => Response::Kept(records.put(&value).then_some(value)),
            Request::Ping => Response::Pong,
        }
    }

    fn closer(&self, asker: &PeerId, key: &[u8]) -> Told {
        let closest = self.table.handed_out(&Key::of_bytes(key), REPLICAS, asker).into_iter();
        let contact =
            |entry: &Entry| Contact { peer: entry.peer, addresses: entry.addresses.clone() };
        closest.map(contact).collect::<Vec<_>>().into()
    }
}
