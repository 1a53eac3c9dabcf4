//! Why something has failed, read off libp2p's errors.

use std::io;

use libp2p::{
    core::upgrade::NegotiationError,
    identify,
    swarm::{DialError, StreamUpgradeError},
};

use crate::net::causes;

pub(super) use crate::net::innermost;

/// Why a dial failed, for a person: libp2p's own text spans several lines and repeats itself.
pub(super) fn reason(error: &DialError) -> String {
    match error {
        DialError::Transport(failures) => {
            let failures: Vec<String> = failures
                .iter()
                .map(|(address, error)| format!("{address}: {}", innermost(error)))
                .collect();
            failures.join("; ")
        }
        DialError::WrongPeerId { obtained, address } => {
            format!("another peer answered at {address}: {obtained}")
        }
        other => other.to_string(),
    }
}

/// Whether a dial failed since nobody is there: each address was refused at once, or leads nowhere. A dial that takes too
/// long says nothing of the kind.
pub(super) fn nobody_is_there(error: &DialError) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};

    let DialError::Transport(failures) = error else { return false };
    failures.iter().all(|(_, error)| {
        // The last of them is what the operating system said.
        let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
        matches!(
            io.map(io::Error::kind),
            Some(ConnectionRefused | HostUnreachable | NetworkUnreachable)
        )
    })
}

/// Whether a peer has refused the protocol. Where a stream is used before the protocol is agreed on, that comes to light
/// when it is read from.
pub(super) fn is_unsupported(error: &StreamUpgradeError<identify::UpgradeError>) -> bool {
    match error {
        StreamUpgradeError::NegotiationFailed => true,
        StreamUpgradeError::Apply(error) => causes(error)
            .any(|cause| matches!(cause.downcast_ref(), Some(NegotiationError::Failed))),
        StreamUpgradeError::Timeout | StreamUpgradeError::Io(_) => false,
    }
}
