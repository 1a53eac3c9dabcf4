//! The node: one poll loop over deadlines, commands and the network.
//!
//! Each file names those below it only. What a file says to the Swarm or hears of it is a method of `Link`.
//!
//! | file | what it knows |
//! |--|--|
//! | `builder.rs` | what a node is made of |
//! | `poll.rs` | the loop, its order and its budgets |
//! | `facts.rs` | what the Swarm reports, put as facts for the engine |
//! | `routing.rs` | who has a seat in the routing table |
//! | `actions.rs` | what the engine and the DHT decide, carried out on the Swarm |
//! | `dht.rs` | what the DHT is told |
//! | `dials.rs` | who is dialed, and what comes of it |
//! | `gossip.rs` | announcements, said and heard |
//! | `goodbyes.rs` | of which others a peer is told that is let go for want of room |
//! | `exchange.rs` | questions between two nodes |
//! | `link.rs` | the engine, the DHT and the Swarm, side by side |
//! | `wiring.rs` | whose matter each thing under way in the Swarm is |
//! | `ends.rs` | where the far ends of connections are |
//! | `failures.rs` | why something has failed |
//! | `fetches.rs` | requests that wait for a record which lies in the storage alone |
//! | `storage.rs` | what outlives the process: what is read at the start, and written behind |
//! | `metrics.rs` | what a Prometheus registry is shown |
//! | `watch.rs` | what time it is |

mod actions;
mod builder;
pub(crate) mod dht;
mod dials;
mod ends;
mod exchange;
mod facts;
mod failures;
mod fetches;
mod goodbyes;
mod gossip;
mod link;
mod metrics;
mod poll;
mod routing;
mod storage;
mod watch;
mod wiring;

pub(crate) use self::fetches::MOST as MOST_FETCHES;
pub use self::{builder::NodeBuilder, poll::Node};
