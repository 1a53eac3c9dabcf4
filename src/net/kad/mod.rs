//! Kademlia's wire: requests and answers of the DHT over streams ([libp2p's Kademlia]).
//!
//! It carries what `engine::dht` decides: it knows connections, streams and bytes, and nothing of lookups, tables or
//! records. It dials nobody.
//!
//! | file | what it knows |
//! |--|--|
//! | `protobuf.rs` | fields of a message, as far as the protocol uses them |
//! | `codec.rs` | the messages |
//! | `framed.rs` | a stream of messages |
//! | `outbound.rs` | the requests of this node over one connection |
//! | `inbound.rs` | the requests of the peer at its other end |
//! | `alarm.rs` | the one timer of a connection |
//! | `handler.rs` | the streams of one connection |
//! | `behaviour.rs` | the connections |
//!
//! # Streams carry one request after another
//!
//! To open a stream for each request costs more than the request. go-libp2p, js-libp2p, nim and rust-libp2p serve a stream
//! again and again; py-libp2p and litep2p close it after one answer. So streams stay open, are closed by this node before
//! js-libp2p does so after ten idle seconds, and a request for which its stream was closed too soon goes out once more.
//!
//! [libp2p's Kademlia]: https://github.com/libp2p/specs/blob/master/kad-dht/README.md

mod alarm;
mod behaviour;
mod codec;
mod framed;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod handler;
mod inbound;
mod outbound;
mod protobuf;
#[cfg(test)]
mod tests;

pub(crate) use behaviour::{Behaviour, Event, InboundId};
