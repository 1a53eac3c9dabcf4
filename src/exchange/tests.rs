use std::collections::HashSet;

use data_encoding::HEXLOWER;
use libp2p::{PeerId, identity::Keypair};
use proptest::prelude::*;

use super::*;
use crate::{
    coverage::Coverage,
    package::{Digest, GeoLocation, Match, Sort},
    record::{Hello, Location, NetworkName, RecordKey, Rejected, Signed},
};

const NOW: u64 = 1_800_000_000;

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn peer(seed: u8) -> PeerId {
    keypair(seed).public().to_peer_id()
}

fn network() -> NetworkName {
    "golden".parse().unwrap()
}

fn hello() -> Signed<Hello> {
    let mut hello = Hello::new(network(), peer(1), NOW - 60);
    hello.location = Some(Location::from(GeoLocation::new(48.8566, -2.3522).unwrap()));
    hello.coverage = Coverage::of(["server", "http"]);
    hello.packages = 10_000;
    hello.digest = Digest::of("catalogue");
    hello.features = 1 << 40 | 1;
    hello.ext = b"later".to_vec();
    Signed::sign(&keypair(1), hello).unwrap()
}

fn search() -> Search {
    Search {
        text: Some("http serv\u{e9}".into()),
        matching: Match::Any,
        keywords: vec!["async".into()],
        owner: Some(peer(2)),
        license: Some("MIT".into()),
        version: Some(">=1.2, <2".into()),
        sort: Sort::Updated,
        offset: 40,
        limit: 20,
    }
}

fn keys(from: u32, to: u32) -> Vec<RecordKey> {
    let name = |number| format!("package-{number}").parse().unwrap();
    (from..to).map(|number| RecordKey::claims(&network(), &name(number))).collect()
}

fn requests() -> Vec<Request> {
    let digests = |from: u8, to: u8| (from..to).map(|n| Digest::of([n])).collect();
    vec![
        Request::Hello(hello().bytes().to_vec()),
        Request::Compare { slice: Coverage::All, message: vec![1, 2, 3] },
        Request::Compare { slice: hello().coverage.clone(), message: vec![] },
        Request::Compare { slice: Coverage::None, message: vec![0; 300] },
        Request::Fetch { digests: digests(0, 3) },
        Request::Offer { digests: digests(3, 5) },
        Request::Search(Search::default()),
        Request::Search(search()),
        Request::Explain { keys: keys(0, 2) },
        Request::Goodbye { reason: 2, others: vec![] },
        Request::Goodbye { reason: 1, others: vec![other(2, 2), other(3, 1)] },
    ]
}

/// A peer with so many addresses.
fn other(seed: u8, addresses: u16) -> Other {
    let address = |port| format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap();
    Other { peer: peer(seed), addresses: (4001..4001 + addresses).map(address).collect() }
}

fn responses() -> Vec<Response> {
    let heads = vec![vec![1; 200], vec![2; 3]];
    vec![
        Response::Hello(hello().bytes().to_vec()),
        Response::Compared { message: vec![4, 5] },
        Response::Declined { retry_after_secs: 300 },
        Response::Heads { heads: heads.clone() },
        Response::Heads { heads: vec![] },
        Response::Noted,
        Response::Hits { heads, total: 1 << 40, more: true },
        Response::Refusals { codes: vec![0, 1] },
    ]
}

/// Lines of bytes, as they are in a file.
fn golden(file: &str) -> Vec<&str> {
    file.lines().collect()
}

#[test]
fn a_hello_is_written_as_ever() {
    let lines = golden(include_str!("../../tests/golden/hello.hex"));
    assert_eq!(HEXLOWER.encode(hello().bytes()), lines.concat());
    let bytes = HEXLOWER.decode(lines.concat().as_bytes()).unwrap();
    let read = Signed::verify_hello(&network(), &peer(1), &bytes, NOW).unwrap();
    assert_eq!(read.body(), hello().body());
}

#[test]
fn requests_are_written_as_ever() {
    let lines = golden(include_str!("../../tests/golden/exchange_requests.hex"));
    let written: Vec<String> =
        requests().iter().map(|request| HEXLOWER.encode(&request.encode().unwrap())).collect();
    assert_eq!(written, lines);
    for (line, request) in lines.iter().zip(requests()) {
        assert_eq!(Request::decode(&HEXLOWER.decode(line.as_bytes()).unwrap()), Ok(request));
    }
}

#[test]
fn responses_are_written_as_ever() {
    let lines = golden(include_str!("../../tests/golden/exchange_responses.hex"));
    let written: Vec<String> =
        responses().iter().map(|response| HEXLOWER.encode(&response.encode().unwrap())).collect();
    assert_eq!(written, lines);
    for (line, response) in lines.iter().zip(responses()) {
        assert_eq!(Response::decode(&HEXLOWER.decode(line.as_bytes()).unwrap()), Ok(response));
    }
}

#[test]
fn a_hello_counts_for_five_minutes_and_only_from_the_peer_that_it_is_of() {
    let (hello, network) = (hello(), network());
    let verify = |network: &NetworkName, sender: PeerId, now| {
        Signed::verify_hello(network, &sender, hello.bytes(), now).map(drop)
    };
    let issued = NOW - 60;
    assert_eq!(verify(&network, peer(1), issued - 300), Ok(()));
    assert_eq!(verify(&network, peer(1), issued + 299), Ok(()));
    let (early, late) = (issued - 301, issued + 300);
    assert_eq!(verify(&network, peer(1), early), Err(Rejected::Future { issued, now: early }));
    let expired = Rejected::Expired { expires: late, now: late };
    assert_eq!(verify(&network, peer(1), late), Err(expired));
    assert_eq!(verify(&network, peer(2), NOW), Err(Rejected::Signer));
    assert_eq!(verify(&NetworkName::default(), peer(1), NOW), Err(Rejected::Network));
    // Nobody signs the hello of another.
    assert!(Signed::sign(&keypair(2), hello.body().clone()).is_err());
    let mut spoilt = hello.bytes().to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    let spoilt = Signed::verify_hello(&network, &peer(1), &spoilt, NOW);
    assert_eq!(spoilt, Err(Rejected::Signature));
}

#[test]
fn a_hello_out_of_its_bounds_is_not_signed() {
    for coverage in [
        Coverage::Keywords(Default::default()),
        Coverage::of(["A"]),
        Coverage::of((100..165).map(|n| n.to_string())),
    ] {
        let mut hello = Hello::new(network(), peer(1), NOW);
        hello.coverage = coverage;
        assert!(Signed::sign(&keypair(1), hello).is_err());
    }
    assert!(Location::new(90_000_000, -180_000_000).is_ok());
    assert!(Location::new(90_000_001, 0).is_err() && Location::new(0, i32::MIN).is_err());
    // All that it may have fits.
    let mut hello = Hello::new(network(), peer(1), NOW);
    hello.coverage = Coverage::of((100..164).map(|n| format!("{n:0>32}")));
    hello.ext = vec![0; 512];
    assert!(Signed::sign(&keypair(1), hello).is_ok());
}

#[test]
fn the_largest_messages_fit_and_larger_ones_do_not() {
    let digests = |count: u32| (0..count).map(|n| Digest::of(n.to_be_bytes())).collect();
    let fits = [
        Request::Fetch { digests: digests(1024) },
        Request::Offer { digests: digests(2048) },
        Request::Compare { slice: Coverage::All, message: vec![0; 60 * 1024] },
        Request::Explain { keys: keys(0, 16) },
        Request::Goodbye { reason: 1, others: (1..9).map(|seed| other(seed, 4)).collect() },
    ];
    for request in fits {
        assert!(request.encode().unwrap().len() <= MAX_REQUEST_BYTES);
    }
    let far = vec![format!("/dns4/{}.example/tcp/1", "a".repeat(128)).parse().unwrap()];
    let refused = [
        Request::Fetch { digests: vec![] },
        Request::Fetch { digests: digests(1025) },
        Request::Fetch { digests: vec![Digest::of("a"), Digest::of("a")] },
        Request::Offer { digests: vec![] },
        Request::Offer { digests: digests(2049) },
        Request::Compare { slice: Coverage::Keywords(Default::default()), message: vec![] },
        Request::Compare { slice: Coverage::All, message: vec![0; 60 * 1024 + 1] },
        Request::Hello(vec![0; 8193]),
        Request::Explain { keys: vec![] },
        Request::Explain { keys: keys(0, 17) },
        Request::Explain { keys: [keys(0, 1), keys(0, 1)].concat() },
        Request::Goodbye { reason: 1, others: (1..10).map(|seed| other(seed, 1)).collect() },
        Request::Goodbye { reason: 1, others: vec![other(1, 5)] },
        Request::Goodbye { reason: 1, others: vec![other(1, 0)] },
        Request::Goodbye { reason: 1, others: vec![other(1, 1), other(1, 2)] },
        Request::Goodbye { reason: 1, others: vec![Other { peer: peer(1), addresses: far }] },
    ];
    for request in refused {
        assert!(request.encode().is_err());
    }
    // As many heads as fit.
    let (heads, all) = Response::fitting((0..256).map(|_| vec![7; 8192]));
    assert!(!all && heads.len() == 35);
    let (small, all) = Response::fitting((0..1024).map(|_| vec![7; 200]));
    assert!(all && small.len() == 1024);
    let (none, all) = Response::fitting(Vec::<Vec<u8>>::new());
    assert!(all && none.is_empty());
    let full = Response::Hits { heads, total: u64::MAX, more: true };
    assert!(full.encode().unwrap().len() <= MAX_RESPONSE_BYTES);
    assert!(Response::Heads { heads: vec![vec![7; 8192]; 37] }.encode().is_err());
    assert!(Response::Refusals { codes: vec![1; 16] }.encode().is_ok());
    assert!(Response::Refusals { codes: vec![1; 17] }.encode().is_err());
}

#[test]
fn a_search_out_of_its_bounds_is_refused() {
    let changes: [fn(&mut Search); 8] = [
        |search| search.text = Some("x".repeat(257)),
        |search| search.text = Some("two\nlines".into()),
        |search| search.keywords = vec!["Upper".into()],
        |search| search.license = Some(String::new()),
        |search| search.version = Some(">=1.2,<2".into()),
        |search| search.version = Some("none".into()),
        |search| search.offset = 10_001,
        |search| search.limit = 0,
    ];
    for change in changes {
        let mut search = search();
        change(&mut search);
        assert!(Request::Search(search).encode().is_err());
    }
}

#[test]
fn there_is_one_encoding_of_a_message_and_one_format() {
    for bytes in requests().iter().map(|request| request.encode().unwrap()) {
        let mut other = bytes.clone();
        other[0] = 2;
        assert_eq!(Request::decode(&other), Err(Rejected::Format { found: 2 }));
        let longer = [&bytes[..], &[0]].concat();
        assert!(Request::decode(&longer).is_err());
        assert!(Request::decode(&bytes[..bytes.len() - 1]).is_err());
        // The variant in two bytes.
        let overlong = [&[1, bytes[1] | 0x80, 0], &bytes[2..]].concat();
        assert!(Request::decode(&overlong).is_err());
    }
    assert!(Request::decode(&[]).is_err() && Response::decode(&[]).is_err());
    // A list that is said to be longer than it can be.
    assert!(Request::decode(&[1, 2, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    let distinct: HashSet<Vec<u8>> =
        responses().iter().map(|response| response.encode().unwrap()).collect();
    assert_eq!(distinct.len(), responses().len());
}

#[test]
fn a_goodbye_for_a_reason_of_a_later_version_is_read() {
    for reason in [0, 4, u8::MAX] {
        let goodbye = Request::Goodbye { reason, others: vec![other(2, 1)] };
        assert_eq!(Request::decode(&goodbye.encode().unwrap()), Ok(goodbye));
    }
}

#[test]
fn a_goodbye_tells_of_peers_and_addresses_and_of_nothing_else() {
    let bytes = Request::Goodbye { reason: 1, others: vec![other(2, 1)] }.encode().unwrap();
    // Format, variant, reason, number of others, key, number of addresses, length, address.
    let length = 4 + 32 + 1;
    let mut no_address = bytes.clone();
    no_address[length + 1] = 0xff;
    assert!(Request::decode(&no_address).is_err());
    let empty = [&bytes[..length], &[0]].concat();
    assert!(Request::decode(&empty).is_err());
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(
        which in 0_usize..19,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let whole = requests().iter().map(|request| request.encode().unwrap())
            .chain(responses().iter().map(|response| response.encode().unwrap()))
            .nth(which);
        let mut bytes = whole.unwrap();
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(request.encode(), Ok(bytes.clone()));
        }
        if let Ok(response) = Response::decode(&bytes) {
            prop_assert_eq!(response.encode(), Ok(bytes));
        }
    }
}
