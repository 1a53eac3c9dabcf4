//! The wire of the DHT.

use crate::net::kad::fuzzing;

/// Reads bytes as both sides of a stream would: what is accepted says the same when it is written and read again.
pub fn message(bytes: &[u8]) {
    fuzzing::message(bytes);
}

/// What is said in a network, without its length.
#[must_use]
pub fn bodies() -> Vec<Vec<u8>> {
    fuzzing::bodies()
}

/// What is said in a network, as it stands on a stream.
#[must_use]
pub fn frames() -> Vec<Vec<u8>> {
    fuzzing::frames()
}
