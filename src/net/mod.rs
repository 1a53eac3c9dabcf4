//! How bytes move: the protocols, the transports, the tasks that run connections.

mod attributed;
mod behaviour;
mod tasks;
pub mod tcp;
pub mod transport;

pub use tasks::ConnectionTask;

pub(crate) use attributed::{Audience, Verdict};
pub(crate) use behaviour::{
    Behaviour, BehaviourEvent, REPLICATION_FACTOR, dht_protocol, topic_name,
};
pub(crate) use tasks::{ConnectionTasks, Spawner};
