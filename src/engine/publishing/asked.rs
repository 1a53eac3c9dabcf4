//! What callers ask to be changed.

use super::{own::Change, publish::Publish};
use crate::engine::command::Command;

impl Publish {
    /// The change that a caller asks for. The command comes back if it is another.
    pub(in crate::engine) fn asked_by(command: Command) -> Result<Self, Command> {
        let (change, confirmation, reply) = match command {
            Command::Register { manifest, confirmation, reply } => {
                (Change::Register(manifest), confirmation, reply)
            }
            Command::Yank { of, reason, confirmation, reply } => {
                let (name, version) = *of;
                (Change::Yank { name, version, reason }, confirmation, reply)
            }
            Command::Unyank { of, confirmation, reply } => {
                let (name, version) = *of;
                (Change::Unyank { name, version }, confirmation, reply)
            }
            Command::Deprecate { name, said: deprecation, confirmation, reply } => {
                (Change::Deprecate { name, deprecation }, confirmation, reply)
            }
            Command::Unregister { name, confirmation, reply } => {
                (Change::Unregister { name }, confirmation, reply)
            }
            other => return Err(other),
        };
        Ok(Self::new(change, Some(reply), confirmation))
    }
}
