//! Discovery on the local network.

use crate::net::mdns::fuzzing;

/// Reads a packet as it comes from a neighbour: what is read keeps to the bounds, and little becomes of it.
pub fn packet(bytes: &[u8]) {
    fuzzing::packet(bytes);
}

/// What is said on a local network.
#[must_use]
pub fn packets() -> Vec<Vec<u8>> {
    fuzzing::packets()
}
