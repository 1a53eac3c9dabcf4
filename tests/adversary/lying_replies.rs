//! Replicas that answer lookups with something else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt, executor::block_on, stream};
use peerage::{Error, Freshness, Registry, identity::Keypair};

use crate::{
    forge::{Dice, Owner},
    hostile::{Connection, Put},
    replica::{Answer, Replica},
    report::{line, size, turn},
    world::{FRESHNESSES, client_of, config, server},
};

/// Liars among the replicas, in each round other ones, and another reader.
const LIARS: usize = 5;

/// Packages asked for in each round.
const LOOKUPS: usize = 25;

/// What is told under one key. No reader may believe any of it.
struct Lies(Vec<(&'static str, Vec<u8>)>);

impl Lies {
    /// About a package that is at its second head.
    fn about(owner: &Owner, another: &Owner, dice: &mut Dice) -> Self {
        let (head, thief) = (owner.head(2), Owner::new(owner.name.as_str()));
        let mut forged = owner.head(9).bytes().to_vec();
        let at = dice.roll(forged.len());
        forged[at] ^= 1 << dice.roll(8);
        let length = dice.roll(4000);
        Self(vec![
            ("other key", another.head(2).bytes().to_vec()),
            ("other owner", thief.head(9).bytes().to_vec()),
            ("forged", forged),
            ("garbage", dice.bytes(length)),
            ("cut short", head.bytes()[..dice.roll(head.bytes().len())].to_vec()),
        ])
    }

    /// With a head of before: true once, and believed by whoever knows no better.
    fn and_older(mut self, owner: &Owner) -> Self {
        self.0.push(("older sequence", owner.head(1).bytes().to_vec()));
        self
    }
}

/// What liars have told so far, by class.
#[derive(Default)]
struct Told {
    classes: BTreeMap<&'static str, AtomicUsize>,
}

impl Told {
    fn all(&self) -> usize {
        self.classes.values().map(|told| told.load(Ordering::Relaxed)).sum()
    }
}

fn liar(lies: Arc<HashMap<Vec<u8>, Lies>>, told: Arc<Told>) -> Answer {
    let turn = AtomicUsize::new(0);
    Arc::new(move |key| {
        let Lies(lies) = lies.get(key)?;
        let (class, lie) = &lies[turn.fetch_add(1, Ordering::Relaxed) % lies.len()];
        told.classes[class].fetch_add(1, Ordering::Relaxed);
        Some(lie.clone())
    })
}

#[test]
fn no_lie_is_delivered_and_an_honest_answer_is() {
    let _turn = turn();
    block_on(async {
        let wanted = size(1_000, 1_000);
        let told = ["other key", "other owner", "forged", "garbage", "cut short", "older sequence"];
        let classes = told.into_iter().map(|class| (class, AtomicUsize::new(0))).collect();
        let told = Arc::new(Told { classes });

        // One honest replica, which holds two packages of three.
        let (_honest, address) = server(config()).await;
        let friend =
            Connection::dial(&Keypair::generate_ed25519(), &address).await.expect("dialed");

        let mut dice = Dice::new(2);
        let (mut answered, mut not_found) = (0, 0);
        let (mut blamed, mut liars_met) = (0, 0);
        while told.all() < wanted {
            let owners: Vec<Owner> =
                (0..LOOKUPS).map(|index| Owner::new(&format!("tool-{index}"))).collect();
            let mut lies = HashMap::new();
            for (index, owner) in owners.iter().enumerate() {
                let head = owner.head(2);
                let told = Lies::about(owner, &owners[(index + 1) % LOOKUPS], &mut dice);
                let told = if is_held(index) {
                    let put = friend.put(head.key().as_bytes(), head.bytes()).await;
                    assert_eq!(put, Put::Acknowledged);
                    told.and_older(owner)
                } else {
                    told
                };
                lies.insert(head.key().as_bytes().to_vec(), told);
            }
            let lies = Arc::new(lies);
            let mut liars = Vec::new();
            for _ in 0..LIARS {
                let answer = liar(Arc::clone(&lies), Arc::clone(&told));
                let liar = Replica::start(answer).await;
                liars.push(liar);
            }
            let everybody = liars.iter().map(|liar| &liar.address).chain([&address]);
            let everybody: Vec<_> = everybody.cloned().collect();
            let reader = client_of(&everybody, config()).await;

            // The first time all of the copies are wanted, since an older head that is all one has heard is as good
            // as any; from then on the reader knows better, whatever it wants.
            let first = [Freshness::All; LOOKUPS];
            let again: Vec<Freshness> = FRESHNESSES.into_iter().cycle().take(LOOKUPS).collect();
            for freshnesses in [&first[..], &again] {
                let reads = owners.iter().zip(freshnesses).enumerate();
                let reads = reads.map(|(index, (owner, freshness))| {
                    let reader = reader.handle.with_freshness(*freshness);
                    async move { (index, reader.get_package(owner.package()).await) }
                });
                let reads: Vec<_> = stream::iter(reads).buffer_unordered(8).collect().await;
                for (index, read) in reads {
                    match read {
                        Ok(package) => {
                            assert!(is_held(index), "a lie was delivered: {package:?}");
                            let is_right =
                                (package.owner, package.sequence) == (owners[index].id(), 2);
                            assert!(is_right, "{:?} gave {package:?}", freshnesses[index]);
                            answered += 1;
                        }
                        Err(Error::NotFound { .. }) if !is_held(index) => not_found += 1,
                        Err(error) => panic!("{}: {error}", owners[index].package()),
                    }
                }
            }
            for liar in &liars {
                let seen = reader.handle.reputation(liar.peer).await.expect("a reputation");
                blamed += usize::from(seen.score() < 50);
                liars_met += 1;
            }
        }
        let by_class: Vec<String> = told
            .classes
            .iter()
            .map(|(class, told)| format!("{class} {}", told.load(Ordering::Relaxed)))
            .collect();
        // Whoever tells more truths of before than lies stands no worse for it; nobody here does.
        assert_eq!(blamed, liars_met, "liars without a stain");
        line(
            "lying replies",
            format_args!(
                "{} told by {liars_met} replicas: 0 delivered, {answered} honest answers, {not_found} not found; \
                 {blamed} replicas lost standing ({})",
                told.all(),
                by_class.join(", "),
            ),
        );
    });
}

fn is_held(index: usize) -> bool {
    !index.is_multiple_of(3)
}
