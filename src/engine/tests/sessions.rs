//! Two engines that compare their catalogues: what goes from one to the other, how often, and when it ends.

use super::*;
use crate::{
    coverage::Coverage,
    engine::reconcile,
    event::Direction,
    exchange::{self, Response},
};

/// Two engines with one connection, and what they have asked each other.
struct Pair {
    here: Lab,
    there: Lab,
    /// Questions of either side, which are answered when they are carried over.
    asked: u64,
    /// How many heads have been sent, and how many comparisons have been asked for.
    heads: usize,
    compared: usize,
}

impl Pair {
    /// Not yet connected.
    fn of(here: Config, there: Config) -> Self {
        let [here, there] = [here, there].map(Lab::untouched);
        Self { here, there, asked: 0, heads: 0, compared: 0 }
    }

    /// The first dials the second.
    fn connect(&mut self) {
        let [here, there] = [&self.here, &self.there].map(|lab| lab.engine.cx.local);
        let address = || "/memory/5".parse().unwrap();
        let connected = |peer, direction| Fact::Connected { peer, address: address(), direction };
        self.here.learn(connected(there, Direction::Outbound));
        self.there.learn(connected(here, Direction::Inbound));
        self.talk();
    }

    /// Carries questions and answers over until nobody has any more.
    fn talk(&mut self) {
        while self.carry_over(true) | self.carry_over(false) {}
    }

    fn carry_over(&mut self, from_here: bool) -> bool {
        let (asker, other) = match from_here {
            true => (&mut self.here, &mut self.there),
            false => (&mut self.there, &mut self.here),
        };
        let mut any = false;
        for action in asker.actions() {
            let Action::Ask { question, peer, request } = action else { continue };
            if peer != other.engine.cx.local {
                // Somebody who is not there, and says nothing.
                continue;
            }
            any = true;
            if let Ok(exchange::Request::Compare { .. }) = exchange::Request::decode(&request) {
                self.compared += 1;
            }
            let asked = AskedId(self.asked);
            self.asked += 1;
            let peer = asker.engine.cx.local;
            other.learn(Fact::Asked { asked, peer, request });
            // What else the other has to do is put back: it comes to it in its own turn.
            let mut answer = None;
            for action in other.actions() {
                match action {
                    Action::Answer { asked: to, response } if to == asked => {
                        answer = Some(response)
                    }
                    action => other.engine.out.actions.push_back(action),
                }
            }
            let response = answer.expect("every question is answered at once");
            if let Ok(Response::Heads { heads }) = Response::decode(&response) {
                self.heads += heads.len();
            }
            asker.learn(Fact::Answered { question, response });
        }
        any
    }

    /// As long as it takes until every node has had its turn, some ten times over.
    fn let_pass(&mut self, time: Duration) {
        let step = Duration::from_secs(60);
        for _ in 0..time.as_secs() / step.as_secs() {
            for lab in [&mut self.here, &mut self.there] {
                lab.advance(step);
            }
            self.talk();
        }
    }
}

fn lists(lab: &Lab, head: &Signed<Head>) -> bool {
    lab.engine.discovery.catalogue().by_digest(&head.digest(), UNIX).is_some()
}

fn heads(count: usize) -> Vec<Signed<Head>> {
    let lasting = |number| {
        let keypair = Keypair::generate_ed25519();
        let (_, head) = published_by(&keypair, &format!("package-{number}"), 1);
        let validity = Validity::starting(UNIX - 60, 14 * 24 * 3600);
        Signed::sign(&keypair, Head { validity, ..Head::clone(&head) }).unwrap()
    };
    (0..count).map(lasting).collect()
}

fn with_keyword(keypair: &Keypair, name: &str, sequence: u64, keyword: &str) -> Signed<Head> {
    let (_, head) = published_by(keypair, name, sequence);
    let mut body = Head::clone(&head);
    if let crate::record::HeadState::Live { latest, .. } = &mut body.state {
        latest.keywords = vec![keyword.to_owned()];
    }
    Signed::sign(keypair, body).unwrap()
}

/// A peer has connected here, and not said what it is.
fn told(lab: &mut Lab, peer: PeerId, request: &exchange::Request) -> Response {
    let asked = AskedId(u64::MAX);
    lab.learn(Fact::Asked { asked, peer, request: request.encode().unwrap() });
    let mut answer = None;
    for action in lab.actions() {
        match action {
            Action::Answer { asked: to, response } if to == asked => answer = Some(response),
            action => lab.engine.out.actions.push_back(action),
        }
    }
    Response::decode(&answer.expect("every question is answered at once")).unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn who_connects_has_what_the_other_knows_and_the_other_what_it_knows() {
    let mut pair = Pair::of(Config::new(), Config::new());
    let (mine, theirs) = (heads(20), heads(30));
    mine.iter().for_each(|head| pair.here.hears_news(head));
    theirs.iter().for_each(|head| pair.there.hears_news(head));
    pair.connect();
    for head in mine.iter().chain(&theirs) {
        assert!(lists(&pair.here, head) && lists(&pair.there, head));
    }
    assert_eq!(pair.heads, 50);
    // And as long as nothing happens, nothing more is sent than what they are.
    let compared = pair.compared;
    pair.let_pass(DAY);
    assert_eq!((pair.heads, pair.compared), (50, compared));
}

#[test]
fn what_has_no_room_is_not_fetched_again_and_again() {
    let small = Config::new().with_limits(Limits::new().with_catalogue_packages(64));
    let mut pair = Pair::of(small, Config::new());
    heads(300).iter().for_each(|head| pair.there.hears_news(head));
    pair.connect();
    pair.let_pass(DAY);
    // Each once an hour at the most, of both sides' attempts.
    assert!(pair.heads <= 300 * 25, "{} heads in a day", pair.heads);
    assert!(pair.compared <= 4 * 24 * 12, "{} comparisons in a day", pair.compared);
    assert_eq!(pair.here.engine.discovery.catalogue().len(), 64);
    // Nor is the application told of it again and again.
    let told = pair.here.events().into_iter();
    let discovered = told.filter(|event| matches!(event, Event::Discovered { .. })).count();
    assert!(discovered <= 300, "{discovered} discoveries of 300 packages");
}

#[test]
fn a_catalogue_of_which_more_differs_than_a_session_finds_is_not_compared_without_a_pause() {
    let small = Config::new().with_limits(Limits::new().with_catalogue_packages(16));
    let large = Limits::new().with_announcement_burst(1_000_000);
    let mut pair = Pair::of(small, Config::new().with_limits(large));
    // More than one session finds; that their signatures are one key's makes no difference.
    let keypairs: Vec<_> = (0..32).map(|_| Keypair::generate_ed25519()).collect();
    for number in 0..exchange_most() + 500 {
        let keypair = &keypairs[number % keypairs.len()];
        pair.there.hears_news(&published_by(keypair, &format!("package-{number}"), 1).1);
    }
    // Would not come to an end.
    pair.connect();
    assert!(pair.heads <= 2 * exchange_most(), "{}", pair.heads);
}

fn exchange_most() -> usize {
    crate::engine::reconcile::MAX_FOUND
}

#[test]
fn what_was_withdrawn_while_somebody_was_away_is_withdrawn_in_one_exchange() {
    let keypair = Keypair::generate_ed25519();
    let (id, head) = published_by(&keypair, "tool", 1);
    let gone = tombstone(&keypair, &id, 2);
    for away_dials in [true, false] {
        let mut pair = Pair::of(Config::new(), Config::new());
        let (away, there) = match away_dials {
            true => (&mut pair.here, &mut pair.there),
            false => (&mut pair.there, &mut pair.here),
        };
        away.hears_news(&head);
        there.hears_news(&head);
        there.hears_news(&gone);
        pair.connect();
        for lab in [&pair.here, &pair.there] {
            assert!(lists(lab, &gone) && !lists(lab, &head), "{away_dials}");
        }
    }
}

#[test]
fn nodes_that_cover_some_keywords_exchange_what_both_cover_and_a_light_one_nothing() {
    let keypair = Keypair::generate_ed25519();
    let http = with_keyword(&keypair, "server", 1, "http");
    let yaml = with_keyword(&keypair, "parser", 1, "yaml");
    for (coverage, expected) in [
        (Coverage::of(["http"]), [true, false]),
        (Coverage::of(["toml"]), [false, false]),
        (Coverage::None, [false, false]),
        (Coverage::All, [true, true]),
    ] {
        let mut pair = Pair::of(Config::new().with_coverage(coverage.clone()), Config::new());
        [&http, &yaml].into_iter().for_each(|head| pair.there.hears_news(head));
        pair.connect();
        assert_eq!([&http, &yaml].map(|head| lists(&pair.here, head)), expected, "{coverage:?}");
        assert_eq!(pair.heads, expected.iter().filter(|listed| **listed).count());
    }
}

#[test]
fn a_peer_that_does_not_answer_is_left_and_the_next_one_asked() {
    let mut pair = Pair::of(Config::new(), Config::new());
    let head = published("tool", 1).1;
    pair.there.hears_news(&head);
    // Somebody greets, and then says nothing more.
    let mute = Lab::untouched(Config::new());
    let hello = mute.engine.discovery.own_hello(&mute.engine.cx).unwrap();
    let address = "/memory/6".parse().unwrap();
    let peer = mute.engine.cx.local;
    pair.here.learn(Fact::Connected { peer, address, direction: Direction::Outbound });
    let greeting = pair.here.actions().into_iter().find_map(|action| match action {
        Action::Ask { question, peer: asked, .. } if asked == peer => Some(question),
        _ => None,
    });
    pair.here.hears_news(&published("other", 1).1);
    let response = Response::Hello(hello).encode().unwrap();
    pair.here.learn(Fact::Answered { question: greeting.unwrap(), response });
    let waits = pair.here.actions();
    assert!(
        waits
            .iter()
            .any(|action| matches!(action, Action::Ask { peer: asked, .. } if *asked == peer))
    );
    pair.connect();
    assert!(!lists(&pair.here, &head), "one session at a time");
    pair.here.advance(Duration::from_secs(31));
    pair.talk();
    assert!(lists(&pair.here, &head));
}

#[test]
fn neither_a_light_client_nor_who_never_answers_has_the_turn_of_all_others() {
    for is_light in [true, false] {
        let mut pair = Pair::of(Config::new(), Config::new());
        pair.there.hears_news(&published("tool", 1).1);
        pair.connect();
        let (other, here) = (pair.there.engine.cx.local, &mut pair.here);
        let somebody = Lab::untouched(Config::new().with_coverage(Coverage::None));
        here.visited_by(somebody.engine.cx.local);
        if is_light {
            let hello = somebody.engine.discovery.own_hello(&somebody.engine.cx).unwrap();
            told(here, somebody.engine.cx.local, &exchange::Request::Hello(hello));
        }
        here.actions();
        let mut greeted = 0;
        for _ in 0..12 {
            here.advance(Duration::from_secs(301));
            let asks = here
                .actions()
                .into_iter()
                .filter(|action| matches!(action, Action::Ask { peer, .. } if *peer == other));
            greeted += asks.count();
        }
        assert!(greeted >= 5, "{greeted} times in an hour, light: {is_light}");
    }
}

#[test]
fn what_was_offered_twice_is_fetched_once_and_without_delay() {
    let mut pair = Pair::of(Config::new(), Config::new());
    pair.connect();
    let head = published("tool", 1).1;
    pair.there.hears_news(&head);
    let there = pair.there.engine.cx.local;
    let offer = exchange::Request::Offer { digests: vec![head.digest()] };
    // It has asked to be left alone for a moment, and offers something meanwhile.
    let soon = pair.here.mono + Duration::from_secs(5);
    pair.here.engine.discovery.neighbours().get_mut(&there).unwrap().not_before = soon;
    for _ in 0..2 {
        assert_eq!(told(&mut pair.here, there, &offer), Response::Noted);
    }
    pair.here.advance(Duration::from_secs(6));
    assert_eq!(told(&mut pair.here, there, &offer), Response::Noted);
    pair.talk();
    assert!(lists(&pair.here, &head));
    assert_eq!(pair.heads, 1);
}

#[test]
fn who_brings_what_may_be_its_own_under_other_names_gains_no_standing_by_it() {
    let mut pair = Pair::of(Config::new(), Config::new());
    heads(40).iter().for_each(|head| pair.there.hears_news(head));
    let there = pair.there.engine.cx.local;
    let before = pair.here.engine.standing.reputations().score(&there);
    pair.connect();
    assert_eq!(pair.heads, 40);
    assert_eq!(pair.here.engine.standing.reputations().score(&there), before);
}

#[test]
fn who_covers_some_keywords_hears_that_a_package_is_none_of_these_any_more() {
    let keypair = Keypair::generate_ed25519();
    let old = with_keyword(&keypair, "server", 1, "http");
    let id = PackageId::owned(keypair.public().to_peer_id(), "server".parse().unwrap());
    let gone = tombstone(&keypair, &id, 2);
    let other = with_keyword(&keypair, "server", 2, "gopher");
    for (newer, is_listed) in [(&gone, true), (&other, false)] {
        for slice_dials in [true, false] {
            let some = Config::new().with_coverage(Coverage::of(["http"]));
            // The other one has never heard of what there was before.
            let mut pair = match slice_dials {
                true => Pair::of(some, Config::new()),
                false => Pair::of(Config::new(), some),
            };
            let (slice, all) = match slice_dials {
                true => (&mut pair.here, &mut pair.there),
                false => (&mut pair.there, &mut pair.here),
            };
            slice.hears_news(&old);
            all.hears_news(newer);
            pair.connect();
            let slice = if slice_dials { &pair.here } else { &pair.there };
            assert!(!lists(slice, &old), "withdrawn: {is_listed}, dials: {slice_dials}");
            assert_eq!(lists(slice, newer), is_listed);
        }
    }
}

#[test]
fn who_asks_for_another_slice_each_time_pays_for_the_lists_that_are_made() {
    let limits = Limits::new()
        .with_announcement_burst(1_000_000)
        .with_requests_per_second(1)
        .with_request_burst(1_000);
    let served = |slice: fn(usize) -> Coverage| {
        let mut lab = Lab::untouched(Config::new().with_limits(limits.clone()));
        let keypair = Keypair::generate_ed25519();
        for number in 0..6_400 {
            lab.hears_news(&published_by(&keypair, &format!("package-{number}"), 1).1);
        }
        let peer = PeerId::random();
        lab.visited_by(peer);
        let (_, message) = reconcile::Session::open(std::sync::Arc::default(), 0, 7);
        let began = std::time::Instant::now();
        let served = (0..).take_while(|number| {
            let request =
                exchange::Request::Compare { slice: slice(*number), message: message.clone() };
            matches!(told(&mut lab, peer, &request), Response::Compared { .. })
        });
        let served = served.count();
        println!("{served} served in {:?}", began.elapsed());
        served
    };
    let same = served(|_| Coverage::of(["http"]));
    let others = served(|number| Coverage::of([format!("k{number}")]));
    assert!(same >= 50, "{same}");
    assert!(others <= 10, "{others} lists of 6,400 for the price of 1,000 requests");
}

#[test]
fn who_has_more_hashed_for_a_question_of_the_same_length_pays_more() {
    let limits = Limits::new()
        .with_announcement_burst(1_000_000)
        .with_requests_per_second(1)
        .with_request_burst(1_000);
    let served = |differing: bool| {
        let mut lab = Lab::untouched(Config::new().with_limits(limits.clone()));
        let keypair = Keypair::generate_ed25519();
        for number in 0..3_200 {
            lab.hears_news(&published_by(&keypair, &format!("package-{number}"), 1).1);
        }
        let peer = PeerId::random();
        lab.visited_by(peer);
        let all = Coverage::All;
        let mut items: Vec<(u64, Digest)> =
            lab.engine.discovery.catalogue().items(&all, UNIX).collect();
        items.sort_unstable();
        if differing {
            // One of each of the sixteen ranges that are asked about first is something else.
            for (_, digest) in items.iter_mut().step_by(100) {
                *digest = Digest::of(digest.as_bytes());
            }
        }
        let items = items.into_iter().map(|(issued, digest)| reconcile::Item::new(issued, digest));
        let (_, message) = reconcile::Session::open(std::sync::Arc::new(items.collect()), 3_200, 7);
        let question = exchange::Request::Compare { slice: all, message };
        let answered =
            |_: &u32| matches!(told(&mut lab, peer, &question), Response::Compared { .. });
        (0..).take_while(answered).count()
    };
    let (equal, differing) = (served(false), served(true));
    assert!(equal >= 20, "{equal}");
    assert!(differing * 2 <= equal, "{differing} beside {equal}");
}

#[test]
fn who_asks_much_at_once_pays_for_all_of_it() {
    let limits = Limits::new().with_requests_per_second(1).with_request_burst(1_000);
    let served = |digests: u32| {
        let mut lab = Lab::untouched(Config::new().with_limits(limits.clone()));
        let peer = PeerId::random();
        lab.visited_by(peer);
        let digests = (0..digests).map(|number| Digest::of(number.to_be_bytes())).collect();
        let offer = exchange::Request::Offer { digests };
        (0..).take_while(|_| told(&mut lab, peer, &offer) == Response::Noted).count()
    };
    assert!(served(1) >= 100);
    let most = served(2_048);
    assert!(most <= 10, "{most} offers of 64 KiB for the price of 1,000 requests");
}

#[test]
fn who_offers_and_never_answers_takes_a_small_part_of_the_time() {
    let mut lab = Lab::untouched(Config::new());
    let mute = PeerId::random();
    lab.visited_by(mute);
    let mut fetches = 0;
    for number in 0_u32..120 {
        let digests = vec![Digest::of(number.to_be_bytes())];
        told(&mut lab, mute, &exchange::Request::Offer { digests });
        for action in lab.actions() {
            if let Action::Ask { request, .. } = action
                && let Ok(exchange::Request::Fetch { .. }) = exchange::Request::decode(&request)
            {
                fetches += 1;
            }
        }
        lab.advance(Duration::from_secs(31));
    }
    // Half a minute each.
    assert!(fetches <= 13, "{fetches} sessions in an hour");
}

#[test]
fn who_is_reading_its_catalogue_back_is_not_taken_to_lack_it() {
    let mut lab = Lab::untouched(Config::new());
    let peer = PeerId::random();
    lab.visited_by(peer);
    let (_, message) = reconcile::Session::open(std::sync::Arc::default(), 0, 7);
    let compare = exchange::Request::Compare { slice: Coverage::All, message };
    lab.engine
        .discovery
        .restore(std::iter::once(std::sync::Arc::clone(published("tool", 1).1.bytes())));
    assert!(matches!(told(&mut lab, peer, &compare), Response::Declined { .. }));
    lab.engine.restore_listed();
    assert!(matches!(told(&mut lab, peer, &compare), Response::Compared { .. }));
}

#[test]
fn who_offers_new_heads_without_an_end_has_a_whole_catalogue_of_them_fetched_in_an_hour() {
    let small = Config::new().with_limits(Limits::new().with_catalogue_packages(64));
    let mut lab = Lab::untouched(small);
    let peer = PeerId::random();
    lab.visited_by(peer);
    let mut offer_for = |seconds: u32| {
        let mut fetched = 0;
        for round in 0..seconds / 10 {
            let heads: Vec<_> =
                (0..8).map(|number| published(&format!("made-up-{round}-{number}"), 1).1).collect();
            let digests = heads.iter().map(Signed::digest).collect();
            told(&mut lab, peer, &exchange::Request::Offer { digests });
            while let Some(action) = lab.engine.next_action() {
                let Action::Ask { question, request, .. } = action else { continue };
                let response = match exchange::Request::decode(&request) {
                    Ok(exchange::Request::Fetch { digests }) => {
                        let wanted = heads.iter().filter(|head| digests.contains(&head.digest()));
                        let heads: Vec<_> = wanted.map(|head| head.bytes().to_vec()).collect();
                        fetched += heads.len();
                        Response::Heads { heads }
                    }
                    _ => Response::Noted,
                };
                let response = response.encode().unwrap();
                lab.learn(Fact::Answered { question, response });
            }
            lab.advance(Duration::from_secs(10));
        }
        fetched
    };
    let first = offer_for(600);
    // As many as there is room for, what is earned meanwhile, and the batch that goes beyond.
    assert!((64..=64 + 11 + 8).contains(&first), "{first} heads fetched of 480");
    let then = offer_for(3600);
    assert!((56..=64 + 8).contains(&then), "{then} heads fetched in an hour");
}

#[test]
fn who_goes_on_asking_though_it_is_declined_is_disconnected() {
    let limits = Limits::new().with_requests_per_second(1).with_request_burst(100);
    let mut lab = Lab::untouched(Config::new().with_limits(limits));
    let peer = PeerId::random();
    lab.visited_by(peer);
    let request = exchange::Request::Search(exchange::Search::default()).encode().unwrap();
    let mut asked = 0;
    loop {
        lab.learn(Fact::Asked { asked: AskedId(asked), peer, request: request.clone() });
        asked += 1;
        let is_end =
            |action: &Action| matches!(action, Action::Disconnect { peer: of } if *of == peer);
        if lab.actions().iter().any(is_end) {
            break;
        }
        assert!(asked < 10_000, "it is listened to for ever");
    }
    assert!(asked > 100, "{asked} requests are no flood");
}
