//! How well the size of networks is told, and how long it takes to find the closest: printed, with `--nocapture`.

use std::{hint::black_box, time::Instant};

use sha2::{Digest as _, Sha256};

use super::*;

/// The table of a node that knows as many of its network as it has seats for.
fn member(network: u64, peers: u64) -> Table {
    let mut table = Table::new(Key::of_bytes(&network.to_be_bytes()), &Limits::new(), K);
    for number in 0..peers {
        table.seat(Duration::ZERO, near((network << 32) | number));
    }
    table
}

#[test]
fn a_node_tells_from_its_neighbourhood_how_many_there_are() {
    for peers in [50, 200, 1_000, 10_000] {
        let networks = 600_000 / peers.max(3_000);
        let errors: Vec<f64> = (0..networks)
            .map(|network| {
                let told = member(network, peers - 1).size_estimate().unwrap().peers();
                told / peers as f64 - 1.0
            })
            .collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let spread =
            (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
        let worst = errors.iter().fold(0.0_f64, |worst, error| worst.max(error.abs()));
        println!(
            "{peers:>6} peers, {networks:>3} nodes: error {mean:+.3} on average, {spread:.3} as deviation, {worst:.3} at worst"
        );
        assert!(mean.abs() < 0.12 && spread < 0.35, "{peers}: {mean} {spread}");
    }
}

#[test]
fn a_small_network_is_counted() {
    assert_eq!(table(K).size_estimate(), None);
    assert_eq!(member(1, 19).size_estimate().unwrap().peers(), 20.0);
    // Those who do not answer are no members, as long as enough others do.
    let mut table = member(1, 200);
    let all: Vec<PeerId> = table.iter().map(|entry| entry.peer).collect();
    let before = table.size_estimate().unwrap().peers();
    all.iter().step_by(2).for_each(|peer| table.silent(peer));
    let after = table.size_estimate().unwrap().peers();
    assert!((0.2..0.9).contains(&(after / before)), "{before} {after}");
    all.iter().for_each(|peer| table.silent(peer));
    assert_eq!(table.size_estimate(), None);
}

#[test]
fn how_likely_a_peer_is_one_of_the_closest_is_told() {
    let peers = 1_000;
    let size = NetworkSize::counted(peers - 1);
    let keys: Vec<Key> = (0..peers as u64).map(|number| Key::of_peer(&peer(number))).collect();
    // Of those that are told to be in with 90 to 95 %, so many are, and of those with 5 to 10 % as well.
    for [from, to] in [[0.05, 0.1], [0.45, 0.55], [0.9, 0.95]] {
        let (mut told, mut are) = (0, 0);
        for target in (0..400_u64).map(|target| Key::of_bytes(&target.to_be_bytes())) {
            let mut distances: Vec<_> = keys.iter().map(|key| key.distance(&target)).collect();
            distances.sort_unstable();
            for (rank, distance) in distances.iter().enumerate().take(60) {
                if (from..to).contains(&size.likelihood(distance, K)) {
                    told += 1;
                    are += usize::from(rank < K);
                }
            }
        }
        let share = are as f64 / told as f64;
        println!("told {from} to {to}: {share:.3} of {told}");
        assert!((from - 0.05..to + 0.05).contains(&share), "{from} to {to}: {share}");
    }
    assert_eq!(size.likelihood(&keys[0].distance(&keys[0]), K), 1.0);
}

#[test]
fn how_long_it_takes_to_find_the_closest() {
    // Nobody's table has as many: keys are made for fifty full buckets.
    let mut table = table(K);
    table.buckets.resize_with(50, Default::default);
    for number in 0..1_000_u64 {
        let depth = number as usize / K;
        let drawn = Sha256::digest(number.to_be_bytes()).into();
        let key = table.key_in(KEY_BITS - 1 - depth, drawn);
        table.enter(depth, Entry::new(Duration::ZERO, key, 16, near(number)));
    }
    let targets: Vec<Key> = (0..4_096_u64).map(|key| Key::of_bytes(&key.to_be_bytes())).collect();
    let rounds = 5;
    let began = Instant::now();
    for target in targets.iter().cycle().take(rounds * targets.len()) {
        black_box(table.closest(black_box(target), 20).len());
    }
    let each = began.elapsed().as_nanos() / (rounds * targets.len()) as u128;
    println!(
        "closest(20) of {}: {each} ns; an entry has {} bytes",
        table.len(),
        size_of::<Entry>()
    );

    let mut table = member(1, 1_000);
    let peers: Vec<PeerId> = table.iter().map(|entry| entry.peer).collect();
    let began = Instant::now();
    for peer in peers.iter().cycle().take(20_000) {
        table.answered(secs(1), black_box(peer), Duration::from_millis(1));
    }
    println!("an answer is noted in {} ns", began.elapsed().as_nanos() / 20_000);
}
