use proptest::prelude::*;

use super::*;
use crate::record::NetworkName;

const HEADER: &[u8] = b"/multistream/1.0.0\n";

fn names() -> Names {
    Names::new(&NetworkName::default()).unwrap()
}

/// A frame: its length, and then this.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut length = body.len();
    let mut bytes = Vec::new();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(body);
    bytes
}

fn frames(bodies: &[&[u8]]) -> Vec<u8> {
    bodies.iter().flat_map(|body| frame(body)).collect()
}

/// How many messages there are in what one end says to its end, in pieces, and what the stream is for.
fn heard<'a>(
    end: End,
    known: Option<Protocol>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (u64, Option<Protocol>) {
    let (mut frames, mut protocol, names) = (Frames::new(end), known, names());
    let messages: u64 =
        pieces.into_iter().map(|piece| frames.look(piece, &names, &mut protocol)).sum();
    (messages + frames.end(), protocol)
}

fn proposed(name: &str, said: &[u8]) -> (u64, Option<Protocol>) {
    let opening = frames(&[HEADER, format!("{name}\n").as_bytes()]);
    heard(End::Opener, None, [&opening, said])
}

fn answered(lines: &[&[u8]], protocol: Protocol, said: &[u8]) -> u64 {
    heard(End::Answerer, Some(protocol), [&frames(&[HEADER]), &frames(lines), said]).0
}

#[test]
fn the_first_proposal_says_what_a_stream_is_for() {
    for (name, protocol) in [
        ("/peerage/main/kad/1.0.0", Protocol::Dht),
        ("/meshsub/1.1.0", Protocol::Gossip),
        ("/meshsub/1.0.0", Protocol::Gossip),
        ("/peerage/main/exchange/1.0.0", Protocol::Exchange),
        ("/ipfs/id/1.0.0", Protocol::Identify),
        ("/ipfs/id/push/1.0.0", Protocol::Identify),
        ("/peerage/other/kad/1.0.0", Protocol::Other),
        ("/peerage/main/kad", Protocol::Other),
        ("/peerage/main/", Protocol::Other),
        ("/peerage/main/kadx/1.0.0", Protocol::Other),
        ("/ipfs/kad/1.0.0", Protocol::Other),
        ("/", Protocol::Other),
        ("", Protocol::Other),
    ] {
        assert_eq!(proposed(name, &[]), (0, Some(protocol)), "{name}");
    }
    let opening = frames(&[HEADER, b"/peerage/main/kad/1.0.0\n"]);
    let unfinished = &opening[..opening.len() - 1];
    assert_eq!(heard(End::Opener, None, [unfinished]).1, None);
    assert_eq!(heard(End::Opener, None, [&frames(&[HEADER, b""])[..]]).1, Some(Protocol::Other));
}

#[test]
fn messages_of_both_ends_count_and_lines_do_not() {
    let three = frames(&[&[8; 300], &[], &[1; 70_000]]);
    assert_eq!(proposed("/peerage/main/kad/1.0.0", &three), (3, Some(Protocol::Dht)));
    // What has not come to its end is no message yet.
    let cut = &three[..three.len() - 1];
    assert_eq!(proposed("/ipfs/id/1.0.0", cut), (2, Some(Protocol::Identify)));
    let accepted: &[u8] = b"/peerage/main/kad/1.0.0\n";
    assert_eq!(answered(&[accepted], Protocol::Dht, &three), 3);
    assert_eq!(answered(&[b"na\n", b"na\n", accepted], Protocol::Dht, &three), 3);
    assert_eq!(answered(&[b"na\n"], Protocol::Dht, &[]), 0);
}

#[test]
fn a_second_proposal_is_no_message_and_changes_nothing() {
    let said = frames(&[b"/meshsub/1.0.0\n", b"/ipfs/id/1.0.0\n", &[8, 1], &[8, 2]]);
    assert_eq!(proposed("/meshsub/1.1.0", &said), (2, Some(Protocol::Gossip)));
}

#[test]
fn on_an_exchange_each_end_says_one_message_and_it_ends_with_the_stream() {
    let (names, mut protocol) = (names(), None);
    let mut opener = Frames::new(End::Opener);
    let opening = frames(&[HEADER, b"/peerage/main/exchange/1.0.0\n"]);
    assert_eq!(opener.look(&opening, &names, &mut protocol), 0);
    // These are no lengths.
    assert_eq!(opener.look(&[0; 100], &names, &mut protocol), 0);
    assert_eq!(opener.look(&[0; 100], &names, &mut protocol), 0);
    assert_eq!((opener.end(), opener.end()), (1, 0));
    assert_eq!(opener.look(&[0; 100], &names, &mut protocol), 0);
    assert_eq!(opener.end(), 0);

    let exchange = "/peerage/main/exchange/1.0.0";
    assert_eq!(proposed(exchange, &[]), (0, Some(Protocol::Exchange)), "nothing was said");
    let accepted = format!("{exchange}\n");
    assert_eq!(answered(&[accepted.as_bytes()], Protocol::Exchange, b"answer"), 1);
    assert_eq!(answered(&[b"na\n"], Protocol::Exchange, &[]), 0);
}

#[test]
fn where_nobody_knows_what_is_a_message_none_is_counted() {
    let two = frames(&[&[1], &[2]]);
    assert_eq!(proposed("/chat/1.0.0", &two), (0, Some(Protocol::Other)));
    // A length that no message has.
    let endless = [&two[..], &[0x80; 5], &two].concat();
    assert_eq!(proposed("/peerage/main/kad/1.0.0", &endless), (2, Some(Protocol::Dht)));
    let huge = [&two[..], &[0xff, 0xff, 0xff, 0xff, 0x7f], &two].concat();
    assert_eq!(proposed("/peerage/main/kad/1.0.0", &huge), (2, Some(Protocol::Dht)));
    // What was accepted before anybody has proposed it.
    let lines = frames(&[HEADER, b"/peerage/main/kad/1.0.0\n", &[1]]);
    assert_eq!(heard(End::Answerer, None, [&lines[..]]), (0, None));
}

/// The same bytes in pieces that end at these places.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut done = 0;
    for place in places {
        let (piece, rest) = bytes.split_at(place - done);
        pieces.push(piece);
        (bytes, done) = (rest, place);
    }
    pieces.push(bytes);
    pieces
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    // Protobuf begins with the tag of a field, and nobody has one that looks like a slash.
    prop::collection::vec(any::<u8>(), 0..300)
        .prop_filter("no name", |body| body.first() != Some(&b'/'))
}

fn any_line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/peerage/main/kad/1.0.0\n",
        "/meshsub/1.1.0\n",
        "/peerage/main/exchange/1.0.0\n",
        "/ipfs/id/push/1.0.0\n",
        "/chat/1.0.0\n",
    ])
}

fn any_end() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::Opener, End::Answerer])
}

proptest! {
    #[test]
    fn however_a_stream_comes_in_pieces_the_same_is_counted(
        line in any_line(),
        bodies in prop::collection::vec(any_body(), 0..12),
        end in any_end(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut said = frames(&[HEADER, line.as_bytes()]);
        said.extend(bodies.iter().flat_map(|body| frame(body)));
        let protocol = proposed(line.trim_end(), &[]).1;
        let known = if end == End::Answerer { protocol } else { None };
        let expected = match protocol {
            Some(Protocol::Exchange) => u64::from(!bodies.is_empty()),
            Some(Protocol::Other) => 0,
            _ => bodies.len() as u64,
        };
        prop_assert_eq!(heard(end, known, pieces(&said, &cuts)), (expected, protocol));
        let single = said.chunks(1);
        prop_assert_eq!(heard(end, known, single), (expected, protocol));
    }

    #[test]
    fn whatever_comes_is_looked_at_and_in_pieces_it_is_the_same(
        said in prop::collection::vec(any::<u8>(), 0..600),
        line in prop::option::of(any_line()),
        end in any_end(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let opening = line.map(|line| frames(&[HEADER, line.as_bytes()])).unwrap_or_default();
        let said = [opening, said].concat();
        let known = Some(Protocol::Gossip).filter(|_| end == End::Answerer);
        let whole = heard(end, known, [&said[..]]);
        prop_assert!(whole.0 <= said.len() as u64);
        prop_assert_eq!(heard(end, known, pieces(&said, &cuts)), whole);
    }
}
