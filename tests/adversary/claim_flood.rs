//! Everybody claims somebody's name.

use futures::executor::block_on;
use peerage::{
    Config, Error, Freshness, Multiaddr, NetworkName, PeerId, Registry,
    identity::Keypair,
    record::{ClaimSet, ClaimStatus, Record, RecordKey},
};

use crate::{
    forge::{self, Owner, claims},
    hostile::{Connection, Offer, Put},
    report::{line, size, turn},
    support::{bare, manifest, name, owned},
    world::{client_of, config, joined, server},
};

const NAME: &str = "tiny-http";

/// How many readings of a bare name ended how.
#[derive(Default)]
struct Readings {
    honest: usize,
    ambiguous: usize,
    nobody: usize,
}

impl Readings {
    fn count(&mut self, read: peerage::Result<peerage::Package>, honest: PeerId) {
        match read {
            Ok(package) => {
                assert_eq!(package.owner, honest, "somebody else's package, without a word");
                self.honest += 1;
            }
            Err(Error::Ambiguous { .. }) => self.ambiguous += 1,
            Err(Error::NotFound { .. }) => self.nobody += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A reader that has never heard of anything.
async fn newcomer(addresses: &[Multiaddr], config: Config) -> crate::support::Peer {
    client_of(addresses, config).await
}

/// Reads as every kind of reader: who names the owner and who has pinned him is never affected.
async fn read(addresses: &[Multiaddr], honest: PeerId, readings: &mut Readings) {
    let reader = newcomer(addresses, config()).await;
    for freshness in crate::world::FRESHNESSES {
        let reader = reader.handle.with_freshness(freshness);
        let package = reader.get_package(owned(honest, NAME)).await.expect("by its owner");
        assert_eq!(package.owner, honest);
        readings.count(reader.get_package(bare(NAME)).await, honest);
    }
    let pinned = config().with_pin(NAME.parse().expect("a name"), honest);
    let reader = newcomer(addresses, pinned).await;
    let reader = reader.handle.with_freshness(Freshness::All);
    let package = reader.get_package(bare(NAME)).await.expect("pinned");
    assert_eq!(package.owner, honest);
}

#[test]
fn a_name_that_everybody_claims_never_silently_means_somebody_else() {
    let _turn = turn();
    block_on(async {
        let (_first, address) = server(config()).await;
        let (publisher, other) = server(config().with_bootstrap([address.clone()])).await;
        joined(&publisher, 1).await;
        let addresses = [address, other];
        publisher.handle.register(manifest(NAME, "1.0.0")).await.expect("registered");
        let honest = publisher.id();

        // Somebody who was here before, and trusts whom he has met first.
        let early = newcomer(&addresses, config().with_pin_on_first_use(true)).await;
        let package = early.handle.get_package(bare(NAME)).await.expect("found");
        assert_eq!(package.owner, honest);
        let mut readings = Readings::default();
        read(&addresses, honest, &mut readings).await;
        assert_eq!(readings.honest, 3, "an undisputed name");

        // Everybody claims it, and has a package of that name: so many that the honest owner is not among those who
        // are kept.
        let mut claimants: Vec<Owner> = (0..size(1_000, 120)).map(|_| Owner::new(NAME)).collect();
        let kept = loop {
            let all = claimants.iter().map(|owner| owner.claim(1, ClaimStatus::Active));
            let kept = all
                .fold(claims_at(&addresses[0]).await, |set, claim| set.with(claim, forge::now()));
            if kept.of(&honest, &name(NAME)).is_none() {
                break kept;
            }
            claimants.push(Owner::new(NAME));
        };
        let (mut acknowledged, mut offered) = (0, 0);
        for claimants in claimants.chunks(8) {
            let offers: Vec<Offer> = claimants
                .iter()
                .flat_map(|claimant| {
                    let (head, set) =
                        (claimant.head(9), claims([claimant.claim(1, ClaimStatus::Active)]));
                    [
                        Offer::from((head.key().as_bytes().to_vec(), head.bytes().to_vec())),
                        Offer::from((set.key().as_bytes().to_vec(), set.to_bytes())),
                    ]
                })
                .collect();
            acknowledged += offer(&addresses, &offers).await;
            offered += offers.len() * addresses.len();
        }
        assert!(acknowledged > 0, "the claims have not arrived");
        let mut readings = Readings::default();
        read(&addresses, honest, &mut readings).await;
        assert_eq!(readings.nobody, 0);
        assert_eq!(early.handle.get_package(bare(NAME)).await.expect("pinned").owner, honest);

        // All that are kept withdraw but one, who is then the only one.
        let mut left =
            claimants.iter().filter(|claimant| kept.of(&claimant.id(), &name(NAME)).is_some());
        let last = left.next().expect("a full set").claim(2, ClaimStatus::Active);
        let withdrawn = left.map(|claimant| claimant.claim(2, ClaimStatus::Withdrawn));
        let set = claims(withdrawn.chain([last]));
        let offers = [Offer::from((set.key().as_bytes().to_vec(), set.to_bytes()))];
        assert_eq!(offer(&addresses, &offers).await, addresses.len());
        let mut alone = Readings::default();
        read(&addresses, honest, &mut alone).await;
        assert_eq!(early.handle.get_package(bare(NAME)).await.expect("pinned").owner, honest);

        line(
            "claim flood",
            format_args!(
                "{} claimants, {acknowledged} of {offered} records stored: 8 of 8 readings by owner or pin \
                 right; bare name {} of 6 ambiguous, {} right, {} not found, 0 somebody else's",
                claimants.len(),
                readings.ambiguous + alone.ambiguous,
                readings.honest + alone.honest,
                readings.nobody + alone.nobody,
            ),
        );
    });
}

/// The claims that a node holds.
async fn claims_at(address: &Multiaddr) -> ClaimSet {
    let (network, name) = (NetworkName::default(), NAME.parse().expect("a name"));
    let key = RecordKey::claims(&network, &name);
    let identity = Keypair::generate_ed25519();
    let connection = Connection::dial(&identity, address).await.expect("dialed");
    let bytes = connection.get(key.as_bytes()).await.expect("an answer").expect("claims");
    match Record::verify(&network, &key, &bytes, forge::now(), ()) {
        Ok(Record::Claims { set, .. }) => set,
        other => panic!("{other:?}"),
    }
}

/// Puts these to each of them, and says how many were taken.
async fn offer(addresses: &[Multiaddr], offers: &[Offer]) -> usize {
    let mut taken = 0;
    for address in addresses {
        let identity = Keypair::generate_ed25519();
        let connection = Connection::dial(&identity, address).await.expect("dialed");
        let puts = connection.offer(offers).await;
        taken += puts.iter().filter(|&&put| put == Put::Acknowledged).count();
    }
    taken
}
