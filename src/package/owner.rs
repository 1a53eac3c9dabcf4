use libp2p::{PeerId, multihash::Multihash};

/// What stands before the 32 key bytes in an Ed25519 peer id: the protobuf field "type", which is
/// Ed25519, and the field "data", of 32 bytes (libp2p specification, "Peer Ids and Keys").
const KEY_PREFIX: [u8; 4] = [0x08, 0x01, 0x12, 0x20];

/// The multihash of such a key is the "identity" one: the key is not hashed.
const IDENTITY: u64 = 0;

/// The Ed25519 public key that a peer id spells out, or `None` when it is the id of another kind of
/// key. Only Ed25519 keys can own packages: their ids hold the key itself, so that a record can be
/// verified by whoever knows its owner.
#[must_use]
pub fn owner_key(owner: &PeerId) -> Option<[u8; 32]> {
    // Of the `PeerId` only the multihash is compared, so that nothing is allocated.
    let multihash = owner.as_ref();
    if multihash.code() != IDENTITY {
        return None;
    }
    multihash.digest().strip_prefix(&KEY_PREFIX)?.try_into().ok()
}

/// The peer id that spells out this Ed25519 public key; the inverse of [`owner_key`].
///
/// The key is taken as it is: whether it is a point on the curve is found out by verifying with it.
/// `None` never comes back in practice: 32 bytes always make a peer id.
#[must_use]
pub fn owner_from_key(key: &[u8; 32]) -> Option<PeerId> {
    let mut digest = [0; KEY_PREFIX.len() + 32];
    let (prefix, rest) = digest.split_at_mut(KEY_PREFIX.len());
    prefix.copy_from_slice(&KEY_PREFIX);
    rest.copy_from_slice(key);
    PeerId::from_multihash(Multihash::wrap(IDENTITY, &digest).ok()?).ok()
}
