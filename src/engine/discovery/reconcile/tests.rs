use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;

use super::{
    wire::{Answer, Bound, Digests, Part, Question, Reply, Segment},
    *,
};
use crate::{package::Digest, record::codec::List};

const NOW: u64 = 1_800_000_000;

/// One of many heads that have been issued within a month.
fn item(number: u64) -> Item {
    let digest = Digest::of(number.to_be_bytes());
    let seconds = u64::from_be_bytes(*digest.as_bytes().first_chunk().unwrap()) % 2_592_000;
    Item::new(NOW - seconds, digest)
}

fn items(numbers: impl IntoIterator<Item = u64>) -> Arc<Items> {
    Arc::new(numbers.into_iter().map(item).collect())
}

fn digests(numbers: impl IntoIterator<Item = u64>) -> Vec<Digest> {
    let mut digests: Vec<Digest> = numbers.into_iter().map(|number| item(number).digest).collect();
    digests.sort_unstable();
    digests
}

/// What came of a comparison: what was found is in order here.
struct Compared {
    need: Vec<Digest>,
    have: Vec<Digest>,
    complete: bool,
    rounds: usize,
    bytes: usize,
}

fn compare(ours: &Arc<Items>, theirs: &Items) -> Compared {
    let (mut session, mut question) = Session::open(Arc::clone(ours), theirs.len() as u64, 7);
    loop {
        assert!(question.len() <= MAX_MESSAGE_BYTES);
        let reply = answer(theirs, &question).unwrap().message;
        assert!(reply.len() <= MAX_MESSAGE_BYTES);
        match session.take(&reply) {
            Step::Ask(next) => question = next,
            Step::Done { mut need, mut have, complete } => {
                need.sort_unstable();
                have.sort_unstable();
                let (sent, received) = session.bytes();
                let (rounds, bytes) = (session.rounds(), sent + received);
                return Compared { need, have, complete, rounds, bytes };
            }
            Step::Failed(failure) => panic!("{failure} after {} rounds", session.rounds()),
        }
    }
}

#[test]
fn equal_catalogues_cost_one_round_and_less_than_a_kibibyte() {
    for count in [0, 1, 8, 9, 10_000, 100_000] {
        let ours = items(0..count);
        let compared = compare(&ours, &ours);
        assert!(compared.complete && compared.need.is_empty() && compared.have.is_empty());
        assert!(compared.rounds == 1 && compared.bytes < 1024, "{} bytes", compared.bytes);
    }
}

#[test]
fn ten_of_ten_thousand_are_found_in_less_than_sixteen_kibibytes() {
    let (ours, theirs) = (items(10..10_000), items(0..10_000));
    let compared = compare(&ours, &theirs);
    println!("10 of 10,000 missing: {} bytes, {} rounds", compared.bytes, compared.rounds);
    assert!(compared.complete && compared.bytes < 16 * 1024);
    assert_eq!((compared.need, compared.have), (digests(0..10), vec![]));
    // The other way round, the peer is told what it lacks.
    let compared = compare(&theirs, &ours);
    assert!(compared.complete && compared.bytes < 16 * 1024);
    assert_eq!((compared.need, compared.have), (vec![], digests(0..10)));
}

#[test]
fn who_has_nothing_learns_of_ten_thousand_at_36_bytes_each_at_most() {
    let (nothing, theirs) = (items([]), items(0..10_000));
    let compared = compare(&nothing, &theirs);
    println!("10,000 missing: {} bytes, {} rounds", compared.bytes, compared.rounds);
    assert!(compared.complete && compared.bytes <= 36 * 10_000);
    assert!((compared.need, compared.have) == (digests(0..10_000), vec![]));
    let compared = compare(&theirs, &nothing);
    assert!(compared.complete && compared.bytes <= 36 * 10_000);
    assert!((compared.need, compared.have) == (vec![], digests(0..10_000)));
}

#[test]
fn more_than_a_session_finds_is_found_by_the_next_ones() {
    let theirs: BTreeSet<u64> = (0..40_000).collect();
    let all = items(theirs.iter().copied());
    let mut ours: BTreeSet<u64> = (40_000..70_000).collect();
    let numbers: std::collections::HashMap<Digest, u64> =
        theirs.iter().map(|number| (item(*number).digest, *number)).collect();
    for session in 1.. {
        let compared = compare(&items(ours.iter().copied()), &all);
        assert!(compared.need.len() <= MAX_FOUND && compared.have.len() <= MAX_FOUND);
        ours.extend(compared.need.iter().map(|digest| numbers[digest]));
        if theirs.is_subset(&ours) {
            assert!(session <= 3);
            break;
        }
        assert!(!compared.complete && compared.need.len() == MAX_FOUND);
    }
}

#[test]
fn what_was_found_counts_although_more_differs_than_a_session_has_questions_for() {
    let (ours, theirs) = (items(0..524_288), items((0..524_288).step_by(2)));
    let compared = compare(&ours, &theirs);
    assert!(!compared.complete && compared.need.is_empty());
    assert_eq!(compared.have.len(), MAX_FOUND);
    // The other way round it ends with what can be fetched.
    let compared = compare(&theirs, &ours);
    assert!(!compared.complete && compared.need.len() == MAX_FOUND);
}

#[test]
fn heads_issued_in_the_same_second_are_told_apart() {
    let same = |numbers: std::ops::Range<u64>| -> Arc<Items> {
        Arc::new(numbers.map(|n| Item::new(NOW, Digest::of(n.to_be_bytes()))).collect())
    };
    let compared = compare(&same(5..3000), &same(0..2990));
    assert!(compared.complete);
    assert_eq!((compared.need.len(), compared.have.len()), (5, 10));
}

/// The fingerprint of a range of these, and what it took.
fn printed(items: &Items, salt: u64, range: std::ops::Range<usize>) -> ([u8; 16], usize) {
    let mut blocks = Blocks::default();
    let print = items.fingerprint(salt, &range, &mut blocks);
    (print, blocks.0)
}

#[test]
fn a_fingerprint_depends_on_the_items_of_its_range_only() {
    let (many, few) = (items(0..5_000), digests(0..5_000));
    for (start, end) in [(0, 5_000), (1, 4_999), (777, 780), (777, 777), (63, 2_000)] {
        let some: Items = many.at(&(start..end)).iter().copied().collect();
        assert_eq!(some.len(), end - start);
        let print = printed(&many, 3, start..end).0;
        assert_eq!(printed(&some, 3, 0..end - start).0, print);
        assert_ne!(printed(&some, 4, 0..end - start).0, print);
        if start + 1 < end {
            assert_ne!(printed(&many, 3, start + 1..end).0, print);
        }
    }
    assert_eq!(few.len(), many.len());
}

/// Items as somebody chooses them who wants to have much hashed: their digests as they like, as if it cost nothing to
/// find them, issued in one second, or at times of which each divides off little.
fn chosen(count: u64) -> [Items; 3] {
    let digest = |number: u64, last: u8| {
        let mut digest = [last; 32];
        digest[24..].copy_from_slice(&number.to_be_bytes());
        Digest::from_bytes(digest)
    };
    let alike = (0..count).map(|number| Item::new(NOW, digest(number, 0xff)));
    let steps = (0..count).map(|number| Item::new(NOW + (1 << (number % 21)), digest(number, 0)));
    let crowded = (0..count).map(|number| Item::new(NOW, Digest::of(number.to_be_bytes())));
    [alike.collect(), steps.collect(), crowded.collect()]
}

#[test]
fn no_range_takes_more_than_a_bounded_number_of_hashes_whoever_chose_the_digests() {
    for items in chosen(50_000) {
        for (start, end) in [(0, 50_000), (1, 49_999), (1, 25_000), (24_999, 25_100), (100, 40_000)]
        {
            let took = printed(&items, 7, start..end).1;
            // Two lists of 64 at the ends, and as much beside each way as a tree of this size is deep.
            assert!(took <= 400, "{took} blocks for {start}..{end}");
        }
    }
}

#[test]
fn what_an_answer_takes_is_told_and_bounded_wherever_its_ranges_end() {
    for theirs in chosen(100_000) {
        let mut lower = Item::START;
        let segments = (1..1_000).map(|part| {
            let upper = theirs.position(part * 99);
            let bound = Bound::of(&lower, &upper);
            lower = upper;
            Segment::Print(bound, [0; 16])
        });
        let question = Question { salt: 0, segments: List(segments.collect()) };
        let question = wire::encode(&question);
        assert!(question.len() <= MAX_MESSAGE_BYTES);
        let began = std::time::Instant::now();
        let answered = answer(&theirs, &question).unwrap();
        println!("{} blocks in {:?}", answered.hashed.0, began.elapsed());
        assert!(answered.hashed.0 > 1_000 && answered.hashed.0 < 80_000);
    }
    let equal = items(0..100_000);
    let (_, question) = Session::open(Arc::clone(&equal), 100_000, 7);
    let took = answer(&equal, &question).unwrap().hashed.0;
    println!("equal catalogues of 100,000: {took} blocks");
    assert!(took < 2_000);
}

proptest! {
    #[test]
    fn equal_ranges_have_equal_fingerprints_whatever_lies_beside_them(
        numbers in prop::collection::vec((0_u64..40, 0_u64..400), 0..700),
        from in 0_u64..40,
        to in 0_u64..41,
        others in prop::collection::vec((0_u64..40, 400_u64..800), 0..300),
    ) {
        let item = |(issued, number): &(u64, u64)| Item::new(*issued, Digest::of(number.to_be_bytes()));
        let within = |items: &Items| {
            items.between(&Item::new(from, Digest::from_bytes([0; 32])), &Item::new(to.max(from), Digest::from_bytes([0; 32])))
        };
        let here: Items = numbers.iter().map(item).collect();
        let beside = others.iter().filter(|(issued, _)| *issued < from || *issued >= to.max(from));
        let there: Items = numbers.iter().chain(beside).map(item).collect();
        prop_assert_eq!(printed(&here, 1, within(&here)).0, printed(&there, 1, within(&there)).0);
    }
}

/// A session over 1,000 items, what it has asked, and what the answer begins with to its 16 segments.
fn asked() -> (Session, Question) {
    let (session, question) = Session::open(items(0..1_000), 1_000, 7);
    (session, wire::decode(&question).unwrap())
}

fn reply(replies: Vec<Reply>) -> Vec<u8> {
    wire::encode(&Answer { replies: List(replies) })
}

#[test]
fn a_peer_that_settles_nothing_is_given_up_at_once() {
    let (mut session, _) = asked();
    assert_eq!(session.take(&reply(vec![])), Step::Failed(Failure::NoProgress));
    let (mut session, _) = asked();
    let nothing = reply(vec![Reply::Parts(List(vec![]))]);
    assert_eq!(session.take(&nothing), Step::Failed(Failure::NoProgress));
    // The same range, as if it had been cut.
    let (mut session, question) = asked();
    let Some(Segment::Print(bound, _)) = question.segments.0.first() else { panic!("a print") };
    let again = reply(vec![Reply::Parts(List(vec![Part::Print(bound.clone(), [0; 16])]))]);
    assert_eq!(session.take(&again), Step::Failed(Failure::NoProgress));
}

#[test]
fn a_peer_that_answers_what_was_not_asked_is_given_up_at_once() {
    let wrong: [Vec<Reply>; 3] = [
        // More than was asked.
        (0..17).map(|_| Reply::Same).collect(),
        // A list was not told.
        vec![Reply::Difference { lacks: List(vec![]), more: List(vec![]) }],
        // Beyond the range.
        vec![Reply::Parts(List(vec![Part::List(
            Bound::of(&Item::START, &Item::END),
            List(vec![]),
        )]))],
    ];
    for replies in wrong {
        let (mut session, _) = asked();
        assert_eq!(session.take(&reply(replies)), Step::Failed(Failure::Malformed));
    }
    // Of two items the peer says that it lacks the third.
    let (mut session, _) = Session::open(items(0..2), 0, 7);
    let third = Reply::Difference { lacks: List(vec![4]), more: List(vec![]) };
    assert_eq!(session.take(&reply(vec![third])), Step::Failed(Failure::Malformed));
}

#[test]
fn a_peer_that_divides_for_ever_is_given_up_within_the_bounds() {
    let (mut session, mut question) = Session::open(items(0..5_000), u64::MAX, 7);
    let mut received = 0;
    loop {
        let asked: Question = wire::decode(&question).unwrap();
        // Each range is said to differ, in its halves.
        let (mut lower, mut replies) = (Item::START, Vec::new());
        for segment in asked.segments.0 {
            let (Segment::Skip(bound) | Segment::Print(bound, _) | Segment::List(bound, _)) =
                &segment;
            let upper = bound.upper(&lower).unwrap();
            let middle = Item::new(
                lower.issued + (upper.issued - lower.issued) / 2,
                Digest::from_bytes([1; 32]),
            );
            if !matches!(segment, Segment::Skip(_)) && lower < middle && middle < upper {
                let half =
                    |lower: &Item, upper: &Item| Part::Print(Bound::of(lower, upper), [0; 16]);
                let halves = vec![half(&lower, &middle), half(&middle, &upper)];
                replies.push(Reply::Parts(List(halves)));
            } else if !matches!(segment, Segment::Skip(_)) {
                break;
            }
            if replies.len() == 400 {
                break;
            }
            lower = upper;
        }
        let reply = reply(replies);
        received += reply.len();
        match session.take(&reply) {
            Step::Ask(next) => question = next,
            Step::Failed(failure) => {
                assert!(matches!(failure, Failure::Endless | Failure::NoProgress));
                break;
            }
            Step::Done { .. } => panic!("nothing was ever settled"),
        }
        assert!(session.rounds() <= MAX_ROUNDS && session.open_ranges() <= MAX_OPEN);
    }
    assert!(received <= MAX_ROUNDS * MAX_MESSAGE_BYTES);
}

#[test]
fn an_answer_is_within_its_bounds_whatever_is_asked() {
    let theirs = items(0..20_000);
    // Many small ranges, each of which differs.
    let cuts: Vec<Item> = (1..3_000).map(|n| theirs.position(n * 6)).collect();
    let mut lower = Item::START;
    let segments: Vec<Segment> = cuts
        .into_iter()
        .take(2_200)
        .map(|upper| {
            let bound = Bound::of(&lower, &upper);
            lower = upper;
            Segment::Print(bound, [0; 16])
        })
        .collect();
    let question = wire::encode(&Question { salt: 0, segments: List(segments) });
    assert!(question.len() <= MAX_MESSAGE_BYTES);
    let replied = answer(&theirs, &question).unwrap().message;
    assert!(replied.len() <= MAX_MESSAGE_BYTES);
    assert!(wire::decode::<Answer>(&replied).unwrap().replies.0.len() > 100);
    assert_eq!(answer(&theirs, &[0; MAX_MESSAGE_BYTES + 1]), Err(Malformed));
}

#[test]
fn what_did_not_fit_is_asked_for_again_and_what_is_gone_is_not() {
    let all = digests(0..300);
    let mut fetching = Fetching::new(all.clone());
    let first = fetching.batch(|_| true).unwrap();
    assert_eq!(first, all[..256]);
    assert_eq!(fetching.batch(|_| true), None);
    // The second is gone, and from the hundredth on there was no room.
    let came: Vec<Digest> =
        first[..100].iter().copied().filter(|digest| *digest != all[1]).collect();
    assert_eq!(fetching.take(came.clone()), Taken::Delivered(came));
    // Somebody else has brought the last one.
    let second = fetching.batch(|digest| *digest != all[299]).unwrap();
    assert_eq!(second, all[100..299]);
    assert_eq!(fetching.take(second.clone()), Taken::Delivered(second));
    assert!(fetching.batch(|_| true).is_none() && fetching.is_done());
}

#[test]
fn a_peer_that_brings_nothing_or_something_else_is_given_up() {
    let mut fetching = Fetching::new(digests(0..300));
    fetching.batch(|_| true).unwrap();
    assert_eq!(fetching.take([]), Taken::Nothing);
    assert!(fetching.is_done());

    let (all, other) = (digests(0..300), item(1_000).digest);
    let mut fetching = Fetching::new(all.clone());
    fetching.batch(|_| true).unwrap();
    assert_eq!(fetching.take([all[0], other]), Taken::Unasked(other));
    assert!(fetching.is_done());

    let mut fetching = Fetching::new(all.clone());
    fetching.batch(|_| true).unwrap();
    assert_eq!(fetching.take([all[0], all[0]]), Taken::Unasked(all[0]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_two_catalogues_are_told_apart_exactly(
        both in 0_u64..5_000,
        ours in prop_oneof![Just(0), 0_u64..20, 0_u64..5_000],
        theirs in prop_oneof![Just(0), 0_u64..20, 0_u64..5_000],
    ) {
        let (only_ours, only_theirs) = (10_000..10_000 + ours, 20_000..20_000 + theirs);
        let a = items((0..both).chain(only_ours.clone()));
        let b = items((0..both).chain(only_theirs.clone()));
        let compared = compare(&a, &b);
        prop_assert!(compared.complete);
        prop_assert!(compared.rounds < MAX_ROUNDS);
        // Thousands of digests say little when they are printed.
        prop_assert!(compared.need == digests(only_theirs));
        prop_assert!(compared.have == digests(only_ours));
    }
}

/// What may become of a message on its way, or of one that somebody makes to harm.
fn mutate(bytes: &mut Vec<u8>, changes: &[(usize, u8, u8)]) {
    for (place, byte, how) in changes {
        let place = place % (bytes.len() + 1);
        match how % 3 {
            0 if place < bytes.len() => bytes[place] = *byte,
            1 => bytes.insert(place, *byte),
            _ if place < bytes.len() => {
                bytes.remove(place);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_bring_either_side_down(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let theirs = items(0..500);
        if let Ok(answer) = answer(&theirs, &bytes) {
            prop_assert!(answer.message.len() <= MAX_MESSAGE_BYTES);
        }
        let (mut session, _) = Session::open(theirs, 0, 7);
        session.take(&bytes);
    }

    #[test]
    fn no_spoilt_message_brings_either_side_down(
        ours in 0_u64..400,
        theirs in 0_u64..400,
        at in 0_usize..5,
        changes in prop::collection::vec(any::<(usize, u8, u8)>(), 1..6),
    ) {
        let (a, b) = (items(0..ours), items(200..200 + theirs));
        let (mut session, mut question) = Session::open(a, theirs, 7);
        for round in 0..MAX_ROUNDS {
            if round >= at {
                let mut spoilt = question.clone();
                mutate(&mut spoilt, &changes);
                if let Ok(answer) = answer(&b, &spoilt) {
                    prop_assert!(answer.message.len() <= MAX_MESSAGE_BYTES);
                }
            }
            let mut reply = answer(&b, &question).unwrap().message;
            if round >= at {
                mutate(&mut reply, &changes);
            }
            match session.take(&reply) {
                Step::Ask(next) => question = next,
                Step::Done { .. } | Step::Failed(_) => return Ok(()),
            }
        }
        prop_assert!(false, "no end");
    }

    #[test]
    fn what_is_read_is_written_the_same(bytes in prop::collection::vec(0_u8..40, 0..200)) {
        if let Ok(question) = wire::decode::<Question>(&bytes) {
            prop_assert_eq!(wire::encode(&question), bytes.clone());
        }
        if let Ok(answer) = wire::decode::<Answer>(&bytes) {
            prop_assert_eq!(wire::encode(&answer), bytes);
        }
    }
}

#[test]
fn a_list_is_no_longer_than_a_message() {
    let list: Digests = List(vec![[0; 32]; MAX_MESSAGE_BYTES / 32 + 1]);
    assert!(wire::decode::<Digests>(&wire::encode(&list)).is_err());
}
