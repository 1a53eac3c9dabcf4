//! Comparisons of catalogues, asked for so that they take the victim as much work as can be.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use futures::{
    executor::block_on,
    future::{join, join_all},
};
use peerage::{
    Digest, Event, Limits, Registry,
    identity::Keypair,
    record::{Head, Signed},
};

use crate::{
    connection_flood::be_served,
    forge::Owner,
    hostile::{Connection, exchange_protocol, gossip_protocol, proto, topic},
    report::{line, median_and_worst, size, turn},
    support::manifest,
    world::{client_of, config, server},
};

/// Questions that are under way at a time, on as many connections as one peer may have.
const AT_ONCE: usize = 8;

/// Of how many heads the parts consist that the victim is asked about.
const PART: usize = 24;

/// A request for a comparison of everything, in parts of which each is said to be something else: the victim hashes
/// each of them, divides it, and hashes what it has divided it into.
fn question(heads: &[Signed<Head>]) -> Vec<u8> {
    let mut places: Vec<(u64, Digest)> =
        heads.iter().map(|head| (head.validity.issued, head.digest())).collect();
    places.sort_unstable();
    let (mut segments, mut count, mut lower) = (Vec::new(), 0, 0);
    for (issued, digest) in places.iter().step_by(PART).skip(1) {
        segments.push(1);
        proto::varint(&mut segments, issued - lower);
        let bytes = digest.as_bytes();
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        proto::varint(&mut segments, length as u64);
        segments.extend(&bytes[..length]);
        segments.extend([0x13; 16]);
        lower = *issued;
        count += 1;
    }
    let mut message = Vec::new();
    proto::varint(&mut message, 7);
    proto::varint(&mut message, count);
    message.extend(segments);
    // Format 1, a comparison, of everything.
    let mut request = vec![1, 1, 0];
    proto::varint(&mut request, message.len() as u64);
    request.extend(message);
    request
}

/// Asks again and again until it is listened to no longer, and counts the answers and the refusals.
async fn ask(connection: &Connection, question: &[u8]) -> (usize, usize) {
    let (mut answered, mut declined) = (0, 0);
    loop {
        let Ok(stream) = connection.speak(exchange_protocol()).await else { break };
        match stream.exchange(question).await.as_deref() {
            // Format 1, what was compared.
            Ok([1, 1, ..]) => answered += 1,
            Ok([1, 2, ..]) => declined += 1,
            // Too many at a time: that stream alone was refused.
            Ok(_) => {}
            Err(_) if connection.get(b"still there?").await.is_err() => break,
            Err(_) => {}
        }
    }
    (answered, declined)
}

#[test]
fn who_has_catalogues_compared_without_end_is_let_go_and_honest_peers_are_served() {
    let _turn = turn();
    block_on(async {
        let limits = Limits::new().with_announcement_burst(1_000_000);
        let (mut victim, address) = server(config().with_limits(limits)).await;
        victim.handle.register(manifest("wanted", "1.0.0")).await.expect("registered");

        // The victim knows many packages, of somebody who chose them.
        let key = Keypair::generate_ed25519();
        let packages = size(10_000, 2_000);
        let heads: Vec<Signed<Head>> =
            (0..packages).map(|n| Owner::of(&key, &format!("many-{n}")).head(1)).collect();
        let publisher = Connection::dial(&key, &address).await.expect("dialed");
        let mut stream = publisher.speak(gossip_protocol()).await.expect("a stream");
        for head in &heads {
            let frame = proto::publication(&topic("announcements"), head.bytes());
            stream.tell(&frame).await.expect("sent");
        }
        for _ in 0..packages {
            let discovered = |event| matches!(event, Event::Discovered { .. }).then_some(());
            victim.wait_for("the victim to have heard of all", discovered).await;
        }

        let reader = client_of(std::slice::from_ref(&address), config()).await;
        let question = question(&heads);
        let identity = Keypair::generate_ed25519();
        let connection = Connection::dial(&identity, &address).await.expect("dialed");
        let (began, over) = (Instant::now(), AtomicBool::new(false));
        let attack = async {
            let asked = join_all((0..AT_ONCE).map(|_| ask(&connection, &question))).await;
            over.store(true, Ordering::Relaxed);
            let total = asked.iter().fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
            (total, began.elapsed())
        };
        let honest = be_served(&reader, victim.id(), &over);
        let (((answered, declined), lasted), mut latencies) = join(attack, honest).await;
        let (median, worst) = median_and_worst(&mut latencies);
        line(
            "comparisons",
            format_args!(
                "{packages} packages, questions of {} bytes: {answered} answered and {declined} declined in {:.1} s, \
                 then let go; {} honest reads, median {median:.1?}, worst {worst:.1?}",
                question.len(),
                lasted.as_secs_f64(),
                latencies.len(),
            ),
        );
        // What it takes to read and to find the ranges, without what is hashed.
        let least = 16 + question.len() / 256;
        let limits = Limits::new();
        let most = (limits.request_burst as usize
            + limits.requests_per_second as usize * (lasted.as_secs() as usize + 1))
            / least;
        assert!(answered > 0 && answered < most / 2, "{answered} answered, {most} by length alone");
        assert!(declined > 0);
    });
}
