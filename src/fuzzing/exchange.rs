//! What peers say to each other directly, and comparisons with peers that say anything.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use libp2p::identity::Keypair;

use crate::{
    coverage::Coverage,
    engine::reconcile::{
        Item, Items, MAX_FOUND, MAX_MESSAGE_BYTES, MAX_ROUNDS, Session, Step, answer,
    },
    exchange::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Other, Request, Response, Search},
    package::{Digest, Match, Sort},
    record::{Hello, Location, NetworkName, Signed},
};

const NOW: u64 = 1_800_000_000;

/// As many digests as a comparison is about at most: they take longer to compute than to compare.
static DIGESTS: LazyLock<Vec<Digest>> =
    LazyLock::new(|| (0..3 * MANY).map(|number| Digest::of(number.to_be_bytes())).collect());

/// The catalogues to which a single message is handed.
static CATALOGUES: LazyLock<[Arc<Items>; 3]> =
    LazyLock::new(|| [0, 40, 400].map(|count| items(0..count, false)));

static FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(signed_frames);

/// More items of one kind than a comparison is about. Few comparisons are about more than a [`FEW`].
const MANY: u64 = 512;
const FEW: u64 = 32;

/// Reads a frame as either side would: what is accepted is written the same again.
pub fn frame(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        assert!(bytes.len() <= MAX_REQUEST_BYTES);
        assert_eq!(request.encode().as_deref(), Ok(bytes), "a request");
        match request {
            Request::Hello(hello) => self::hello(&hello),
            Request::Compare { message, .. } => self::message(&message),
            Request::Fetch { .. }
            | Request::Offer { .. }
            | Request::Search(_)
            | Request::Explain { .. }
            | Request::Goodbye { .. } => {}
        }
    }
    if let Ok(response) = Response::decode(bytes) {
        assert!(bytes.len() <= MAX_RESPONSE_BYTES);
        assert_eq!(response.encode().as_deref(), Ok(bytes), "a response");
        match response {
            Response::Hello(hello) => self::hello(&hello),
            Response::Compared { message } => self::message(&message),
            _ => {}
        }
    }
}

/// Verifies a hello, which is nobody else's than its signer's.
fn hello(bytes: &[u8]) {
    let (network, keypair) = (NetworkName::default(), keypair());
    let sender = keypair.public().to_peer_id();
    if let Ok(hello) = Signed::verify_hello(&network, &sender, bytes, NOW) {
        assert_eq!((hello.peer, &**hello.bytes()), (sender, bytes));
        assert!(Signed::verify_hello(&network, &sender, bytes, NOW + 601).is_err());
        let again = Signed::sign(&keypair, hello.body().clone());
        assert_eq!(again.map(|again| again.digest()), Ok(hello.digest()));
    }
}

/// Hands a message of a comparison to either side, over few items and over none.
pub fn message(bytes: &[u8]) {
    for items in &*CATALOGUES {
        if let Ok(answered) = answer(items, bytes) {
            assert!(answered.message.len() <= MAX_MESSAGE_BYTES);
        }
        let (mut session, _) = Session::open(Arc::clone(items), 0, 7);
        session.take(bytes);
    }
}

/// Compares two catalogues, which have some items each and some in common, issued over a month or all in one second.
/// Messages may be spoilt on their way: `spoil` is given each. Where none is, the result is
/// exact; and it comes within its bounds whatever they are.
pub fn dialogue(
    [ours, both, theirs]: [u16; 3],
    crowded: bool,
    mut spoil: impl FnMut(&mut Vec<u8>),
) {
    let [ours, both, theirs] = [ours, both, theirs].map(|count| match count.to_be_bytes() {
        [0xff, few] => u64::from(few) * 2,
        _ => u64::from(count) % FEW,
    });
    let here = items(0..ours + both, crowded);
    let there = items(ours..ours + both + theirs, crowded);
    let (mut session, mut question) = Session::open(here, both + theirs, 7);
    let mut spoilt = false;
    for _ in 0..=MAX_ROUNDS {
        let mut asked = question.clone();
        spoil(&mut asked);
        spoilt |= asked != question;
        let mut reply = answer(&there, &asked).map(|answered| answered.message).unwrap_or_default();
        assert!(asked.len() > MAX_MESSAGE_BYTES || reply.len() <= MAX_MESSAGE_BYTES);
        let whole = reply.clone();
        spoil(&mut reply);
        spoilt |= reply != whole;
        match session.take(&reply) {
            Step::Ask(next) => {
                assert!(next.len() <= MAX_MESSAGE_BYTES);
                question = next;
            }
            Step::Done { need, have, complete } => {
                assert!(need.len() <= MAX_FOUND && have.len() <= MAX_FOUND);
                let set = |numbers: std::ops::Range<u64>| -> HashSet<Digest> {
                    numbers.map(digest).collect()
                };
                if !spoilt {
                    assert!(complete);
                    let (needed, had): (HashSet<_>, HashSet<_>) =
                        (need.into_iter().collect(), have.into_iter().collect());
                    assert_eq!(
                        (needed, had),
                        (set(ours + both..ours + both + theirs), set(0..ours))
                    );
                }
                return;
            }
            Step::Failed(failure) => {
                assert!(spoilt, "{failure}");
                return;
            }
        }
    }
    unreachable!("a comparison without an end");
}

/// One frame of each sort.
#[must_use]
pub fn frames() -> &'static [Vec<u8>] {
    &FRAMES
}

fn signed_frames() -> Vec<Vec<u8>> {
    let keypair = keypair();
    let peer = keypair.public().to_peer_id();
    let mut hello = Hello::new(NetworkName::default(), peer, NOW);
    hello.location = Location::new(48_856_600, -2_352_200).ok();
    hello.coverage = Coverage::of(["http", "server"]);
    let coverage = hello.coverage.clone();
    let hello = Signed::sign(&keypair, hello).map(|hello| hello.bytes().to_vec());
    let hello = hello.unwrap_or_default();
    let (session, question) = Session::open(items(0..100, false), 100, 7);
    drop(session);
    let reply = answer(&items(10..120, false), &question);
    let reply = reply.map(|answered| answered.message).unwrap_or_default();
    let search = Search {
        text: Some("http server".into()),
        matching: Match::Any,
        keywords: vec!["async".into()],
        owner: Some(peer),
        license: Some("MIT".into()),
        version: Some("^1.2".into()),
        sort: Sort::Updated,
        offset: 40,
        limit: 20,
    };
    let addresses = ["/ip4/8.8.8.8/tcp/4001", "/ip6/2606:4700::7/tcp/4001"];
    let addresses = addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let other = Other { peer, addresses };
    let requests = [
        Request::Hello(hello.clone()),
        Request::Compare { slice: coverage, message: question },
        Request::Fetch { digests: (0..3).map(digest).collect() },
        Request::Offer { digests: (0..3).map(digest).collect() },
        Request::Search(search),
        Request::Goodbye { reason: 1, others: vec![other] },
    ];
    let heads = vec![vec![1; 20], vec![2; 3]];
    let responses = [
        Response::Hello(hello),
        Response::Compared { message: reply },
        Response::Declined { retry_after_secs: 300 },
        Response::Heads { heads: heads.clone() },
        Response::Noted,
        Response::Hits { heads, total: 300, more: true },
    ];
    let requests = requests.iter().map(Request::encode);
    let frames = requests.chain(responses.iter().map(Response::encode));
    frames.map(|frame| frame.unwrap_or_else(|error| unreachable!("{error}"))).collect()
}

fn keypair() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).unwrap_or_else(|error| unreachable!("{error}"))
}

fn digest(number: u64) -> Digest {
    let known = usize::try_from(number).ok().and_then(|place| DIGESTS.get(place));
    known.copied().unwrap_or_else(|| unreachable!("no comparison is about so many"))
}

fn items(numbers: impl Iterator<Item = u64>, crowded: bool) -> Arc<Items> {
    let item = |number: u64| {
        let ago = if crowded { 0 } else { number.wrapping_mul(0x9e37_79b9) % 2_592_000 };
        Item::new(NOW - ago, digest(number))
    };
    Arc::new(numbers.map(item).collect())
}
