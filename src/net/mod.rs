//! How bytes move: the protocols, the transports, the tasks that run connections, and what is counted of it.

mod admission;
mod behaviour;
mod causes;
mod counts;
mod denied;
#[cfg(feature = "dns")]
pub mod dns;
mod ended;
mod exchange;
mod gate;
mod gossip;
mod introduction;
pub(crate) mod kad;
mod resolved;
mod scope;
mod tasks;
pub mod tcp;
#[cfg(test)]
mod testing;
mod told;
mod traffic;
pub mod transport;

pub use tasks::ConnectionTask;

pub(crate) use behaviour::{Behaviour, BehaviourEvent, dht_protocol};
pub(crate) use causes::{causes, innermost};
pub(crate) use counts::Counted;
pub(crate) use denied::{counted, lacks_room};
pub(crate) use gossip::{CACHED_SECS, REMEMBERED, Subscriptions, topic_name};
#[cfg(test)]
pub(crate) use gossip::{GRAYLIST_THRESHOLD, GRAYLISTED_AFTER};
pub(crate) use introduction::networks;
pub(crate) use resolved::Resolved;
pub(crate) use scope::{Scope, of_use};
pub(crate) use tasks::{ConnectionTasks, Spawner};
pub(crate) use traffic::{Traffic, metered};
