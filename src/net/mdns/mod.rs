//! Discovery of peers on the local network, by multicast DNS (RFC 6762) as libp2p
//! [specifies it](https://github.com/libp2p/specs/blob/master/discovery/mdns.md).
//!
//! | file | what it knows |
//! |--|--|
//! | `packet.rs` | what stands in a packet |
//! | `found.rs` | who was found, and for how long that holds |
//! | `machine.rs` | when to ask and to answer, without sockets and without a clock |
//! | `watch.rs` | which interfaces there are |
//! | `socket.rs` | the socket of an interface |
//! | `behaviour.rs` | all of this, as a part of the Swarm |
//!
//! Whatever is heard here comes from anybody on the network and proves nothing: it says where to dial, and a connection
//! proves who is there.

mod behaviour;
mod found;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod machine;
mod packet;
mod socket;
mod watch;

use std::net::Ipv4Addr;

pub(crate) use behaviour::{Behaviour, Event};

/// One socket's worth of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Interface {
    /// The interface that has this address.
    V4(Ipv4Addr),
    /// The interface with this index, by IPv6. Zero leaves it to the operating system.
    V6(u32),
}
