//! What must hold of whatever is accepted.

use peerage::{
    PackageName, PeerId,
    record::{
        Body, Head, Kind, Message, Notes, Rank, Record, RecordKey, Rejected, Seen, Signed, Validity,
    },
};

use crate::{NETWORK, NOW, sealed::keypair_of};

/// Verifies bytes under the key that they call for themselves. Tells whether they are a record.
pub fn stored(bytes: &[u8]) -> bool {
    let Ok(key) = Record::claimed_key(bytes) else {
        // What does not read is no record under any key.
        let key = RecordKey::claims(&NETWORK, &"name".parse().expect("a name"));
        assert!(Record::verify(&NETWORK, &key, bytes, NOW, ()).is_err());
        return false;
    };
    under(&key, bytes)
}

/// Verifies bytes that were found under a key, and whatever follows from their being accepted.
pub fn under(key: &RecordKey, bytes: &[u8]) -> bool {
    let verify = |bytes: &[u8]| Record::verify(&NETWORK, key, bytes, NOW, ());
    let Ok(record) = verify(bytes) else { return false };
    assert_eq!(record.key(), *key, "it is under its key");
    let written = record.to_bytes();
    match &record {
        // Of a set, what is written lacks the claims that were dropped, and nothing else.
        Record::Claims { set, dropped: 1.. } => {
            let expected = Record::Claims { set: set.clone(), dropped: 0 };
            assert_eq!(verify(&written).as_ref(), Ok(&expected));
        }
        _ => assert_eq!(*written, *bytes, "what decodes is written as the same bytes"),
    }
    match &record {
        Record::Head(head) => {
            noted(&head.ext);
            signed_again(head);
        }
        Record::Release(release) => signed_again(release),
        Record::Page(page) => signed_again(page),
        Record::Claims { set, .. } => set.iter().for_each(signed_again),
        _ => {}
    }
    // No other key takes it, and none does in another network.
    let other = RecordKey::claims(&NETWORK, &"another".parse().expect("a name"));
    if other != *key {
        assert!(Record::verify(&NETWORK, &other, bytes, NOW, ()).is_err());
    }
    let main = Default::default();
    assert!(Record::verify(&main, key, bytes, NOW, ()).is_err());
    if let Some(expires) = record.expires() {
        assert!(expires > NOW);
        // What is kept, that is: of what was dropped as too early, time may have made something that holds.
        let late = Record::verify(&NETWORK, key, &written, expires, ());
        assert!(late.is_err(), "{late:?} has expired");
    }
    if let Record::Head(head) = &record {
        validity(&head.validity);
        older(head.rank(), |known| {
            Record::verify(&NETWORK, key, bytes, NOW, Known(known)).map(|_| ())
        });
    }
    true
}

/// Verifies bytes as an announcement and as a message. Neither has a key.
pub fn unasked(bytes: &[u8]) -> bool {
    if let Ok(head) = announcement(bytes) {
        assert_eq!(**head.bytes(), *bytes);
        assert!(under(&head.key(), bytes), "what is announced can be stored");
        return true;
    }
    if let Ok(message) = message(bytes) {
        assert_eq!(**message.bytes(), *bytes);
        let expires = message.issued.saturating_add(Message::MAX_AGE_SECS);
        assert!(expires > NOW);
        assert!(Signed::verify_message(&NETWORK, bytes, expires).is_err(), "it grows too old");
        signed_again(&message);
        return true;
    }
    false
}

/// What the bytes are as an announcement.
pub fn announcement(bytes: &[u8]) -> Result<Signed<Head>, Rejected> {
    Signed::verify_announcement(&NETWORK, bytes, NOW, ())
}

/// What the bytes are as a message.
pub fn message(bytes: &[u8]) -> Result<Signed<Message>, Rejected> {
    Signed::verify_message(&NETWORK, bytes, NOW)
}

/// Notes read as they are written, fit into a head, and are read from any bytes at all.
pub fn noted(ext: &[u8]) {
    let notes = Notes::in_ext(ext);
    let written = notes.to_ext().expect("what was read is within its bounds");
    assert_eq!(Notes::in_ext(&written), notes);
    let fitted = notes.fitted(NOW, |version| version.patch == 0);
    let written = fitted.to_ext().expect("a part of it is, too");
    assert!(written.len() <= Notes::MAX_BYTES);
    assert_eq!(fitted.clone().fitted(NOW, |version| version.patch == 0), fitted);
}

/// What its owner signs again is the same to the last byte: a record keeps the bytes that it was read from, so that only
/// this shows whether they are the ones that it would be written as.
pub fn signed_again<T: Body + Clone + std::fmt::Debug>(signed: &Signed<T>) {
    if let Some(keypair) = keypair_of(signed.owner())
        && signed.signer() == *signed.owner()
    {
        assert_eq!(Signed::sign(keypair, signed.body().clone()).as_ref(), Ok(signed));
    }
}

fn validity(validity: &Validity) {
    assert!(!validity.is_expired(NOW) && validity.issued < validity.expires);
}

/// A head of this rank has been seen of every package.
struct Known(Rank);

impl Seen for Known {
    fn rank(&self, _: Kind, _: &PeerId, _: &PackageName) -> Option<Rank> {
        Some(self.0)
    }

    fn epoch(&self, _: &PeerId) -> u32 {
        0
    }
}

/// One rank further on, it is stale, and not before.
fn older(rank: Rank, verify: impl Fn(Rank) -> Result<(), Rejected>) {
    assert_eq!(verify(rank), Ok(()));
    let next = match rank.sequence.checked_add(1) {
        Some(sequence) => Some(Rank { sequence, ..rank }),
        None => rank.epoch.checked_add(1).map(|epoch| Rank { epoch, ..Rank::default() }),
    };
    let end = (!rank.withdrawn).then_some(Rank { withdrawn: true, sequence: 0, ..rank });
    for known in next.into_iter().chain(end) {
        assert_eq!(verify(known), Err(Rejected::Stale { known, found: rank }));
    }
}
