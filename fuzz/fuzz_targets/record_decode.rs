//! Arbitrary bytes as records: as they come, and as the body of a record that is signed properly.
//!
//! Nothing may panic, and what is accepted must verify again, and be written as the same bytes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use libp2p::{PeerId, identity::Keypair};
use peerage::record::{Claim, Head, Kind, Message, NetworkName, Record, RecordKey, Signed};

/// The time of all verification, in Unix seconds.
const NOW: u64 = 1_800_000_000;

static NETWORK: LazyLock<NetworkName> = LazyLock::new(NetworkName::default);

static KEYPAIR: LazyLock<Keypair> =
    LazyLock::new(|| Keypair::ed25519_from_bytes([1; 32]).expect("any 32 bytes are a key"));

fuzz_target!(|data: &[u8]| {
    let own = KEYPAIR.public().to_peer_id();
    let name = "name".parse().expect("a name");
    let version = "1.0.0".parse().expect("a version");
    let digest = "00".repeat(32).parse().expect("a digest");
    // A key of each kind, none of which depends on the data.
    for key in [
        RecordKey::head(&NETWORK, &own, &name),
        RecordKey::release(&NETWORK, &own, &name, &version),
        RecordKey::page(&NETWORK, &own, &name, &digest),
        RecordKey::claims(&NETWORK, &name),
    ] {
        check_stored(&key, data);
    }
    check_claimed(data);
    check_unasked(data);

    // Behind a valid frame, owner and signature, so that what lies beyond those is reached too.
    for kind in [Kind::Head, Kind::Release, Kind::Page, Kind::Claim, Kind::Message] {
        let signed = sign(kind, &own, data);
        check_claimed(&signed);
        check_unasked(&signed);
        if kind == Kind::Claim && signed.len() <= Claim::MAX_BYTES {
            let length = u16::try_from(signed.len()).expect("a claim is short");
            check_claimed(&[&[1, Kind::ClaimSet as u8, 1], &*varint(length), &signed].concat());
        }
    }
    check_claimed(&[&[1, Kind::ClaimSet as u8], data].concat());
});

/// Under the key that the bytes themselves call for.
fn check_claimed(bytes: &[u8]) {
    if let Ok(key) = Record::claimed_key(bytes) {
        check_stored(&key, bytes);
    }
}

fn check_stored(key: &RecordKey, bytes: &[u8]) {
    let verify = |bytes: &[u8]| Record::verify(&NETWORK, key, bytes, NOW, ());
    let Ok(record) = verify(bytes) else { return };
    let written = record.to_bytes();
    assert_eq!(record.key(), *key);
    match &record {
        // Of a set, what is written lacks the claims that were dropped, and nothing else.
        Record::Claims { set, dropped: 1.. } => {
            let expected = Record::Claims { set: set.clone(), dropped: 0 };
            assert_eq!(verify(&written).as_ref(), Ok(&expected));
        }
        _ => {
            assert_eq!(&*written, bytes);
            assert_eq!(verify(&written).as_ref(), Ok(&record));
        }
    }
}

/// What gossip carries has no key.
fn check_unasked(bytes: &[u8]) {
    if let Ok(head) = Signed::<Head>::verify_announcement(&NETWORK, bytes, NOW, ()) {
        assert_eq!(&**head.bytes(), bytes);
        check_stored(&head.key(), bytes);
        let again = Signed::sign(&KEYPAIR, head.body().clone());
        assert_eq!(again, Ok(head), "signed again, it is the same");
    }
    if let Ok(claim) = Signed::verify_claim(&NETWORK, bytes, NOW, ()) {
        assert_eq!(Signed::sign(&KEYPAIR, claim.body().clone()), Ok(claim));
    }
    if let Ok(message) = Signed::<Message>::verify_message(&NETWORK, bytes, NOW) {
        assert_eq!(Signed::sign(&KEYPAIR, message.body().clone()), Ok(message));
    }
}

/// An envelope of format 1 around the data, as the documentation of `peerage::record` has it: every
/// body begins with its network and its owner.
fn sign(kind: Kind, owner: &PeerId, data: &[u8]) -> Vec<u8> {
    const DOMAIN: &[u8] = b"peerage-record-v1";
    let network = NETWORK.as_str().as_bytes();
    let key = peerage::package::owner_key(owner).expect("an Ed25519 key");
    let short = |text: &[u8]| u8::try_from(text.len()).expect("short");
    let body = [&[short(network)], network, &key, data].concat();
    let message = [
        &[0, 0, 0, short(DOMAIN)],
        DOMAIN,
        &[0, 0, 0, short(network)],
        network,
        &[kind as u8],
        &body,
    ]
    .concat();
    let signature = KEYPAIR.sign(&message).expect("an Ed25519 key signs");
    [&[1, kind as u8], &key[..], &body, &signature].concat()
}

/// The varint of a number of up to two groups of seven bits.
fn varint(number: u16) -> Vec<u8> {
    let [high, low] = [(number >> 7).to_le_bytes()[0], number.to_le_bytes()[0]];
    if high == 0 { vec![low] } else { vec![low | 0x80, high] }
}
