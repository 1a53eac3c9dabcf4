//! The envelope around a body, and its signature.

use libp2p::identity::Keypair;

use super::{
    kind::{FORMAT, Kind},
    limits::MAX_RECORD_BYTES,
    network::NetworkName,
    proven::{self, Proven},
    rejected::Rejected,
    signature::{domain, ed25519_of},
};
use crate::{error::Result, package::Digest};

/// What an envelope adds to a body, in bytes.
pub(super) const OVERHEAD: usize = 1 + 1 + 32 + 64;

/// The most bytes of a body.
pub(super) const MAX_BODY_BYTES: usize = MAX_RECORD_BYTES - OVERHEAD;

const DOMAIN: &[u8] = b"peerage-record-v1";

/// The parts of an envelope, of which nothing has been proven.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) signer: &'a [u8; 32],
    pub(super) body: &'a [u8],
    signature: &'a [u8; 64],
}

impl<'a> Envelope<'a> {
    /// Takes apart the bytes of a record of this kind.
    pub(super) fn parse(kind: Kind, bytes: &'a [u8]) -> Result<Self, Rejected> {
        let found = Kind::of(bytes)?;
        if found != kind {
            return Err(found.misplaced());
        }
        bytes
            .split_first_chunk::<2>()
            .and_then(|(_, rest)| rest.split_first_chunk::<32>())
            .and_then(|(signer, rest)| {
                let (body, signature) = rest.split_last_chunk::<64>()?;
                Some(Self { signer, body, signature })
            })
            .ok_or(Rejected::encoding("too few bytes for an envelope"))
    }

    /// Verifies the signature: the last check, since it is the most costly one. `digest` is the body's, and
    /// `network` is what the body names.
    pub(super) fn prove(
        &self,
        network: &NetworkName,
        kind: Kind,
        digest: &Digest,
        proven: Option<&mut Proven>,
    ) -> Result<(), Rejected> {
        let parts = [&[kind as u8], &self.signer[..], self.signature, digest.as_bytes()];
        let message = || to_be_signed(network, kind, self.body);
        proven::verify(proven, &parts, self.signer, message, self.signature)
    }
}

/// Signs a body and puts it into its envelope.
pub(super) fn seal(
    keypair: &Keypair,
    network: &NetworkName,
    kind: Kind,
    body: &[u8],
) -> Result<Vec<u8>> {
    let keypair = ed25519_of(keypair)?;
    let signature = keypair.sign(&to_be_signed(network, kind, body));
    Ok([&[FORMAT, kind as u8], &keypair.public().to_bytes()[..], body, &signature].concat())
}

fn to_be_signed(network: &NetworkName, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut message = domain(DOMAIN, network, 1 + body.len());
    message.push(kind as u8);
    message.extend(body);
    message
}
