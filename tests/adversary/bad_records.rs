//! Records that should not be stored, offered to a node that holds the real ones.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, executor::block_on, stream};
use peerage::{
    Error, Freshness, Limits, Multiaddr, Registry,
    identity::Keypair,
    record::{ClaimStatus, MAX_RECORD_BYTES, Message, NetworkName, Release, Signed, Validity},
};

use crate::{
    forge::{self, Dice, Owner},
    hostile::{Connection, Offer, Put},
    report::{line, size, turn},
    support::manifest,
    world::{client_of, config, server},
};

/// Strangers that offer records at the same time.
const AT_ONCE: usize = 8;

/// Records offered on one connection.
const BATCH: usize = 20;

/// An owner with a package at its fifth head and one that is withdrawn, and all that has led there.
struct Honest {
    live: Owner,
    withdrawn: Owner,
    current: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Honest {
    fn new(number: usize) -> Self {
        let live = Owner::new(&format!("live-{number}"));
        let withdrawn = Owner::of(&live.key, &format!("withdrawn-{number}"));
        let (head, release, tombstone) = (live.head(5), live.release(5), withdrawn.tombstone(5));
        let claims = forge::claims([live.claim(1, ClaimStatus::Active)]);
        let current = BTreeMap::from([
            (head.key().as_bytes().to_vec(), head.bytes().to_vec()),
            (release.key().as_bytes().to_vec(), release.bytes().to_vec()),
            (tombstone.key().as_bytes().to_vec(), tombstone.bytes().to_vec()),
            (claims.key().as_bytes().to_vec(), claims.to_bytes()),
        ]);
        Self { live, withdrawn, current }
    }

    /// One of the records that stand.
    fn any(&self, dice: &mut Dice) -> (Vec<u8>, Vec<u8>) {
        let (key, value) = self.current.iter().nth(dice.roll(4)).expect("four of them");
        (key.clone(), value.clone())
    }
}

/// Nobody is kept from offering: each record is to be judged by itself.
fn unguarded() -> Limits {
    Limits::new()
        .with_blocked_peers(0)
        .with_requests_per_second(10_000_000)
        .with_request_burst(100_000_000)
}

type Class = (&'static str, fn(&Honest, &mut Dice) -> Offer);

const CLASSES: [Class; 10] = [
    ("forged", forged),
    ("another's", anothers),
    ("truncated", truncated),
    ("re-keyed", rekeyed),
    ("replayed", replayed),
    ("rolled back", rolled_back),
    ("expired", expired),
    ("future-dated", future_dated),
    ("oversized", oversized),
    ("garbage", garbage),
];

/// One bit is not as it was signed.
fn forged(honest: &Honest, dice: &mut Dice) -> Offer {
    // A head with a higher sequence than the one that stands, or one of those that stand.
    let (key, mut value) = match dice.roll(2) {
        0 => {
            let head = honest.live.head(6 + dice.roll(100) as u64);
            (head.key().as_bytes().to_vec(), head.bytes().to_vec())
        }
        _ => honest.any(dice),
    };
    let at = dice.roll(value.len());
    value[at] ^= 1 << dice.roll(8);
    Offer::from((key, value))
}

/// Signed by somebody else: as somebody else's package of this name, or in the owner's place.
fn anothers(honest: &Honest, dice: &mut Dice) -> Offer {
    let thief = Owner::new(honest.live.name.as_str());
    let stolen = thief.head(9);
    let key = honest.live.head(5).key().as_bytes().to_vec();
    let mut value = stolen.bytes().to_vec();
    if dice.roll(2) == 0 {
        // The real owner's body under the thief's key and signature.
        let real = honest.live.head(9);
        let signature = value.split_off(value.len() - 64);
        value.truncate(34);
        value.extend(&real.bytes()[34..real.bytes().len() - 64]);
        value.extend(signature);
    }
    Offer::from((key, value))
}

fn truncated(honest: &Honest, dice: &mut Dice) -> Offer {
    let (key, mut value) = honest.any(dice);
    value.truncate(dice.roll(value.len()));
    Offer::from((key, value))
}

/// A valid record under a key that is not its own, or is none.
fn rekeyed(honest: &Honest, dice: &mut Dice) -> Offer {
    let (key, value) = honest.any(dice);
    let key = match dice.roll(4) {
        0 => honest.current.keys().find(|other| **other != key).expect("another").clone(),
        1 => Owner::new("somebody-elses").head(1).key().as_bytes().to_vec(),
        2 => [b"/pk/", &*dice.bytes(32)].concat(),
        _ => dice.bytes(47),
    };
    Offer::from((key, value))
}

/// Valid where it comes from: in another network, over gossip, inside of a set.
fn replayed(honest: &Honest, dice: &mut Dice) -> Offer {
    let owner = &honest.live;
    let key = owner.head(5).key().as_bytes().to_vec();
    let value = match dice.roll(3) {
        0 => {
            let network: NetworkName = "elsewhere".parse().expect("a name");
            let manifest = owner.release(7).manifest.clone();
            let release = Release::new(network, owner.id(), manifest);
            let release = Signed::sign(&owner.key, release).expect("signed");
            return Offer::from((
                owner.release(7).key().as_bytes().to_vec(),
                release.bytes().to_vec(),
            ));
        }
        1 => {
            let (network, nonce) = (NetworkName::default(), dice.roll(1000) as u64);
            let message =
                Message::new(network, owner.id(), "chat", nonce, forge::now(), b"hello".to_vec());
            Signed::sign(&owner.key, message).expect("signed").bytes().to_vec()
        }
        _ => owner.claim(1, ClaimStatus::Withdrawn).bytes().to_vec(),
    };
    Offer::from((key, value))
}

/// What the owner has signed before, of a package that lives or of one that is withdrawn.
fn rolled_back(honest: &Honest, dice: &mut Dice) -> Offer {
    let owner = if dice.roll(2) == 0 { &honest.live } else { &honest.withdrawn };
    let head = owner.head(1 + dice.roll(4) as u64);
    Offer::from((head.key().as_bytes().to_vec(), head.bytes().to_vec()))
}

/// Newer than what stands by its sequence, and over.
fn expired(honest: &Honest, dice: &mut Dice) -> Offer {
    let ago = 1 + dice.roll(100_000) as u64;
    let validity = Validity::starting(forge::now() - ago - 600, 600);
    let head = honest.live.head_at(6 + dice.roll(100) as u64, validity);
    Offer::from((head.key().as_bytes().to_vec(), head.bytes().to_vec()))
}

fn future_dated(honest: &Honest, dice: &mut Dice) -> Offer {
    let ahead = 24 * 3600 + dice.roll(100_000) as u64;
    let validity = Validity::starting(forge::now() + ahead, 600);
    let head = honest.live.head_at(6 + dice.roll(100) as u64, validity);
    Offer::from((head.key().as_bytes().to_vec(), head.bytes().to_vec()))
}

/// More bytes than a record may have, up to more than a message may have.
fn oversized(honest: &Honest, dice: &mut Dice) -> Offer {
    let (key, mut value) = honest.any(dice);
    let more = MAX_RECORD_BYTES + 1 + dice.roll(72 * 1024);
    value.resize(more, 0);
    Offer::from((key, value))
}

fn garbage(honest: &Honest, dice: &mut Dice) -> Offer {
    let (key, _) = honest.any(dice);
    let length = dice.roll(2 * MAX_RECORD_BYTES);
    let mut value = dice.bytes(length);
    if dice.roll(2) == 0 {
        // As far as the format and the kind it looks like one.
        value.splice(0..value.len().min(2), [1, 1 + dice.roll(5) as u8]);
    }
    Offer::from((key, value))
}

/// Offers these from a stranger's connections, each of which a few are offered on: the victim answers no more than
/// 32 at once.
async fn offer_all(
    address: &Multiaddr,
    offers: &[(&'static str, Offer)],
) -> Vec<(&'static str, Put)> {
    let identity = Keypair::generate_ed25519();
    let mut outcomes = Vec::new();
    for batch in offers.chunks(BATCH) {
        let (classes, batch): (Vec<_>, Vec<Offer>) = batch.iter().cloned().unzip();
        let puts = match Connection::dial(&identity, address).await {
            Ok(connection) => connection.offer(&batch).await,
            Err(_) => vec![Put::CutOff; batch.len()],
        };
        outcomes.extend(classes.into_iter().zip(puts));
    }
    outcomes
}

#[test]
fn no_bad_record_is_stored_or_acknowledged() {
    let _turn = turn();
    block_on(async {
        let (victim, address) = server(config().with_limits(unguarded())).await;
        let reader = client_of(std::slice::from_ref(&address), config()).await;
        // The victim's own package, and what it holds for others.
        let registered = victim.handle.register(manifest("own", "1.0.0")).await;
        let first = registered.expect("registered");
        let honest: Vec<Honest> = (0..8).map(Honest::new).collect();
        let friend =
            Connection::dial(&Keypair::generate_ed25519(), &address).await.expect("dialed");
        for (key, value) in honest.iter().flat_map(|honest| &honest.current) {
            assert_eq!(friend.put(key, value).await, Put::Acknowledged);
        }
        let held = victim.handle.metadata().await.expect("metadata").records;

        let count = size(10_000, 1_000);
        let mut dice = Dice::new(1);
        let mut offers = Vec::new();
        for (index, (class, make)) in CLASSES.iter().cycle().enumerate().take(count) {
            offers.push((*class, make(&honest[index % honest.len()], &mut dice)));
        }
        // Which records are whose does not show in the order in which they are offered.
        for index in 1..offers.len() {
            offers.swap(index, dice.roll(index + 1));
        }
        let keys: BTreeSet<Vec<u8>> = offers.iter().map(|(_, offer)| offer.key.clone()).collect();

        let outcomes: Vec<_> = stream::iter(offers.chunks(offers.len().div_ceil(AT_ONCE)))
            .map(|offers| offer_all(&address, offers))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
        assert_eq!(outcomes.len(), count);
        let refused = outcomes.iter().filter(|(_, put)| *put == Put::Refused).count();

        let acknowledged: Vec<&str> = outcomes
            .into_iter()
            .filter(|(_, put)| *put == Put::Acknowledged)
            .map(|(class, _)| class)
            .collect();
        assert!(acknowledged.is_empty(), "{acknowledged:?} were acknowledged");
        assert_eq!(refused, count, "not all were looked at");
        assert_eq!(victim.handle.metadata().await.expect("metadata").records, held, "stored");

        // Nobody signs whose record it is said to be. Said to be the victim's own, each is what it is.
        let namesake = Owner::new("own").head(3);
        let key = namesake.key().as_bytes().to_vec();
        let said = |value| Offer { key: key.clone(), value, publisher: Some(victim.id()) };
        let (good, mut bad) = (namesake.bytes().to_vec(), namesake.bytes().to_vec());
        *bad.last_mut().expect("a signature") ^= 1;
        assert_eq!(friend.offer(&[said(bad)]).await, [Put::Refused]);
        assert_eq!(friend.get(&key).await.expect("an answer"), None);
        assert_eq!(friend.offer(&[said(good.clone())]).await, [Put::Acknowledged]);
        assert_eq!(friend.get(&key).await.expect("an answer"), Some(good));

        // Under every key that was tried there is what there was before.
        let mut returned = 0;
        for key in &keys {
            let found = friend.get(key).await.expect("an answer");
            let real = honest.iter().find_map(|honest| honest.current.get(key));
            returned += usize::from(found.as_ref() != real);
        }
        assert_eq!(returned, 0, "bad records are served");

        // And an honest reader gets it.
        let reader = reader.handle.with_freshness(Freshness::All);
        for honest in &honest {
            let package = reader.get_package(honest.live.package()).await.expect("unharmed");
            assert_eq!(package.sequence, 5);
            let gone = reader.get_package(honest.withdrawn.package()).await;
            assert!(matches!(gone, Err(Error::Withdrawn { .. })), "{gone:?}");
        }
        let own = reader.get_package(crate::support::owned(victim.id(), "own")).await;
        assert_eq!(own.expect("unharmed").sequence, first.sequence);

        line(
            "bad records",
            format_args!(
                "{count} offered in {} classes, {refused} looked at: 0 acknowledged, 0 stored, 0 of {} keys changed",
                CLASSES.len(),
                keys.len(),
            ),
        );
    });
}
