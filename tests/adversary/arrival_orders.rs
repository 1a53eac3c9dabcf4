//! A package's heads in every order in which they can arrive.

use futures::executor::block_on;
use peerage::{
    Error, Freshness, Multiaddr, Registry,
    identity::Keypair,
    record::{Head, Signed},
    semver::Version,
};

use crate::{
    forge::Owner,
    hostile::{Connection, Put},
    report::{line, turn},
    support::Peer,
    world::{client_of, config, node_as, restarted, server},
};

/// What becomes of a package, in this order.
fn history(owner: &Owner) -> Vec<Signed<Head>> {
    vec![
        owner.head_of(1, &[(1, false)]),
        owner.head_of(2, &[(2, false), (1, false)]),
        // The newest release is yanked, so that the one before is recommended again.
        owner.head_of(3, &[(2, true), (1, false)]),
        owner.tombstone(4),
    ]
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last).into_iter();
    let longer = shorter.flat_map(|order| {
        (0..count).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    });
    longer.collect()
}

/// What a reader gets to know of a package: its sequence, and what is recommended; or that it is withdrawn.
async fn read(reader: &Peer, owner: &Owner) -> Result<(u64, Version), Error> {
    let reader = reader.handle.with_freshness(Freshness::All);
    let package = reader.get_package(owner.package()).await?;
    Ok((package.sequence, package.manifest.version))
}

/// What it should be once all heads up to this one have arrived.
fn expected(newest: usize) -> Option<(u64, Version)> {
    match newest {
        0 => Some((1, Version::new(1, 0, 0))),
        1 => Some((2, Version::new(2, 0, 0))),
        2 => Some((3, Version::new(1, 0, 0))),
        _ => None,
    }
}

/// Puts one head and says whether it was taken.
async fn put(address: &Multiaddr, head: &Signed<Head>) -> bool {
    let friend = Connection::dial(&Keypair::generate_ed25519(), address).await.expect("dialed");
    friend.put(head.key().as_bytes(), head.bytes()).await == Put::Acknowledged
}

#[test]
fn a_yank_and_a_tombstone_win_in_every_order() {
    let _turn = turn();
    block_on(async {
        let identity = Keypair::generate_ed25519();
        let (mut puts, mut taken, mut reads, mut restarts) = (0, 0, 0, 0);
        for count in [3, 4] {
            // Of each order one package, since heads of one say something of the others; and each is cut in two by
            // the end of the node in another place.
            let mut packages: Vec<(Owner, Vec<usize>)> = Vec::new();
            for (index, order) in orders(count).into_iter().enumerate() {
                for _ in 0..=count {
                    packages.push((Owner::new(&format!("order-{count}-{index}")), order.clone()));
                }
            }
            let mut node = node_as(&identity, config());
            let address = node.address().await;
            let mut victim = (node, address);
            for life in 0..=count {
                if life > 0 {
                    victim = restarted(&identity, victim.0, config()).await;
                    restarts += 1;
                }
                // No memory of its own: it says what the victim says.
                let reader = client_of(std::slice::from_ref(&victim.1), config()).await;
                for (index, (owner, order)) in packages.iter().enumerate() {
                    // In its first life the victim hears one more of each next package, up to all of them.
                    let cut = index % (count + 1);
                    let history = history(owner);
                    let now: Vec<usize> = match life {
                        0 => order[..cut].to_vec(),
                        1 => order[cut..].to_vec(),
                        // From then on only what has been before, once more.
                        _ => vec![order[life - 2]],
                    };
                    let mut seen = match life {
                        0 => None,
                        1 => order[..cut].iter().max().copied(),
                        _ => order.iter().max().copied(),
                    };
                    for which in now {
                        let news = seen.is_none_or(|seen| which > seen);
                        let is_taken = put(&victim.1, &history[which]).await;
                        puts += 1;
                        taken += usize::from(is_taken);
                        // What stands may be put again; what is older may not.
                        assert_eq!(
                            is_taken,
                            news || seen == Some(which),
                            "{order:?} in life {life}"
                        );
                        seen = seen.max(Some(which));
                    }
                    let Some(newest) = seen else { continue };
                    reads += 1;
                    match (read(&reader, owner).await, expected(newest)) {
                        (Ok(found), Some(expected)) => assert_eq!(found, expected, "{order:?}"),
                        (Err(Error::Withdrawn { .. }), None) => {}
                        (found, _) => panic!("{found:?} of {order:?} cut at {cut} in life {life}"),
                    }
                }
            }
            // Nothing of a withdrawn package comes back in parts either.
            if count == 4 {
                let (owner, _) = &packages[0];
                let release = owner.release(1);
                let identity = Keypair::generate_ed25519();
                let friend = Connection::dial(&identity, &victim.1).await.expect("dialed");
                let put = friend.put(release.key().as_bytes(), release.bytes()).await;
                assert_eq!(put, Put::Refused);
                // Not even with a head of a higher sequence than the tombstone.
                let is_taken = self::put(&victim.1, &owner.head(9)).await;
                assert!(!is_taken);
            }
        }
        line(
            "arrival orders",
            format_args!(
                "30 orders of 3 and 4 heads, each cut in every place, {restarts} restarts: {puts} puts, {taken} taken, \
                 {reads} reads, 0 of them of an older head",
            ),
        );
    });
}

#[test]
fn a_tombstone_is_the_end_whatever_is_signed_besides() {
    let _turn = turn();
    block_on(async {
        let (_victim, address) = server(config()).await;
        let reader = client_of(std::slice::from_ref(&address), config()).await;
        // The owner, or whoever has its key, has gone on to the fifth head and ended the package with the second.
        let orders = orders(3);
        for order in &orders {
            let owner = Owner::new("ended");
            let history = [owner.head(1), owner.head(5), owner.tombstone(2)];
            let mut ended = false;
            for &which in order {
                let is_end = history[which].is_withdrawn();
                let is_taken = put(&address, &history[which]).await;
                assert!(!ended || !is_taken, "{order:?}: {which} after the end");
                assert!(!is_end || is_taken, "{order:?}: the end comes at any time");
                ended |= is_end;
            }
            let found = read(&reader, &owner).await;
            assert!(matches!(found, Err(Error::Withdrawn { .. })), "{order:?}: {found:?}");
        }
        line(
            "the end",
            format_args!(
                "{} orders of two heads and a tombstone of a sequence between theirs: always withdrawn",
                orders.len()
            ),
        );
    });
}
