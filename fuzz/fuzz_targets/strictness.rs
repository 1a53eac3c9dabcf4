//! One value, one spelling: whatever reads as a key, a name, an identifier or a record is written the same again.

#![no_main]

use std::{fmt::Display, str::FromStr};

use libfuzzer_sys::fuzz_target;
use peerage::{
    Digest, NetworkName, PackageId, PackageName, PeerId, Requirement,
    package::{owner_from_key, owner_key},
    record::{Record, RecordKey},
    semver::Version,
};
use peerage_fuzz::check;

fuzz_target!(|bytes: &[u8]| {
    check::stored(bytes);
    check::unasked(bytes);
    if let Ok(key) = RecordKey::try_from(bytes) {
        assert_eq!(key.as_bytes(), bytes);
        assert_eq!(key.as_str().as_bytes(), bytes);
        assert_eq!(key.to_string().parse(), Ok(key));
        let record = Record::verify(&NetworkName::default(), &key, bytes, 0, ());
        assert!(record.is_err(), "a key is no record");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        strict::<RecordKey>(text);
        strict::<NetworkName>(text);
        strict::<PackageName>(text);
        strict::<PackageId>(text);
        strict::<Version>(text);
        // A requirement is read in many spellings, and written in one.
        if let Ok(requirement) = text.parse::<Requirement>() {
            assert_eq!(requirement.to_string().parse(), Ok(requirement));
        }
        // Digests are read in any of their usual spellings, by people; on the wire they are bytes.
        if let Ok(digest) = text.parse::<Digest>() {
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert_eq!(Digest::from_bytes(*digest.as_bytes()), digest);
        }
    }
    if let Ok(key) = <&[u8; 32]>::try_from(bytes) {
        let owner = owner_from_key(key);
        assert_eq!(owner.as_ref().and_then(owner_key), owner.map(|_| *key));
    }
    if let Ok(owner) = PeerId::from_bytes(bytes)
        && let Some(key) = owner_key(&owner)
    {
        assert_eq!(owner_from_key(&key), Some(owner));
    }
});

fn strict<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}
