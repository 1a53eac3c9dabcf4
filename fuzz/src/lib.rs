//! What the fuzz targets share: inputs with a structure, and what must hold of whatever is accepted.

use std::sync::LazyLock;

use libp2p::identity::Keypair;
use peerage::NetworkName;

pub mod check;
pub mod input;
pub mod mutation;
pub mod sealed;

/// The time of all verification, in Unix seconds: that of the golden vectors, so that they are valid inputs.
pub const NOW: u64 = 1_800_000_000;

/// The network of the golden vectors.
pub static NETWORK: LazyLock<NetworkName> =
    LazyLock::new(|| "golden".parse().expect("the name of a network"));

/// Key pairs of which everything is signed; the first is that of the golden vectors' owner.
pub static KEYPAIRS: LazyLock<Vec<Keypair>> = LazyLock::new(|| {
    (1..=30)
        .map(|seed| Keypair::ed25519_from_bytes([seed; 32]).expect("any 32 bytes are a key"))
        .collect()
});

/// The public key of a key pair.
pub fn public_key(keypair: &Keypair) -> [u8; 32] {
    peerage::package::owner_key(&keypair.public().to_peer_id()).expect("an Ed25519 key")
}

/// The public keys of [`KEYPAIRS`].
pub static PUBLIC_KEYS: LazyLock<Vec<[u8; 32]>> =
    LazyLock::new(|| KEYPAIRS.iter().map(public_key).collect());
