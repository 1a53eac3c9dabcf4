//! What is counted, one call at a time.

use crate::engine::interface::QueryEnd;
use crate::engine::peers::dialing::INTRODUCTION_TIME;
use std::collections::HashSet;

use super::{
    goodbyes::{SECOND, come, goes, lab_with, says_goodbye, someone},
    *,
};
use crate::{
    counters::{
        AnnouncementCounters, GoodbyeCounters, LetGo, LetGoCounters, OutcomeCounters, PeerCounters,
        QueryCounters, SourceCounters, TaskCounters, TrafficCounters,
    },
    event::Direction,
    farewell::Farewell,
    freshness::Freshness,
};

fn none() -> OutcomeCounters {
    OutcomeCounters::default()
}

#[test]
fn a_read_is_counted_by_where_its_answer_came_from() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("counted", 1);
    read_once(&mut lab, &id, &head);
    let (_, again) = lab.get(&id);
    assert!(answer(again).unwrap().is_ok());
    let get = lab.engine.counters().calls.get;
    assert_eq!(get.outcomes, OutcomeCounters { answered: 2, ..none() });
    assert_eq!(get.sources, SourceCounters { network: 1, cache: 1, ..SourceCounters::default() });
}

#[test]
fn how_a_read_ends_in_vain_is_told_apart() {
    let mut lab = Lab::new(Config::new());
    let (id, _) = published("nowhere", 1);
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.end(query, 1);
    assert!(matches!(answer(waiting), Some(Err(Error::NotFound { .. }))));

    let (id, _) = published("silent", 1);
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.end(query, 0);
    assert!(matches!(answer(waiting), Some(Err(Error::NoPeers))));

    let (id, _) = published("slow", 1);
    let (_, waiting) = lab.get(&id);
    let (given_up, waiting_too) = lab.get(&id);
    drop(waiting_too);
    lab.engine.cancel(given_up);
    lab.advance(Duration::from_secs(31));
    assert!(matches!(answer(waiting), Some(Err(Error::Timeout { .. }))));

    let expected =
        OutcomeCounters { not_found: 1, failed: 1, timed_out: 1, cancelled: 1, ..none() };
    assert_eq!(lab.engine.counters().calls.get.outcomes, expected);
}

#[test]
fn a_call_whose_caller_has_gone_before_the_node_looks_is_cancelled() {
    let mut lab = Lab::new(Config::new());
    let (reply, gone) = Reply::channel();
    drop(gone);
    let (id, _) = published("gone", 1);
    let command = Command::ListVersions { package: id, freshness: Freshness::First, reply };
    let (asked, deadline) = (lab.mono, lab.mono + Duration::from_secs(30));
    lab.engine.command(lab.now(), Request { ticket: Ticket(77), asked, deadline, command });
    // That it was given up is told as well.
    lab.engine.cancel(Ticket(77));
    let versions = lab.engine.counters().calls.versions;
    assert_eq!(versions.outcomes, OutcomeCounters { cancelled: 1, ..none() });
}

#[test]
fn a_change_whose_caller_gives_up_is_counted_once_though_it_is_carried_out() {
    let mut lab = Lab::untouched(Config::new());
    lab.actions();
    let manifest = Manifest::new("left-alone".parse().unwrap(), "1.0.0".parse().unwrap());
    let (ticket, waiting) =
        lab.ask(|reply| Command::Register { manifest: Box::new(manifest), confirmation: 0, reply });
    drop(waiting);
    lab.engine.cancel(ticket);
    lab.joins();
    for _ in 0..8 {
        for action in lab.actions() {
            if let Action::Put { query, .. } = action {
                lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 1 } });
            }
        }
    }
    let counters = lab.engine.counters();
    assert_eq!(counters.calls.register, OutcomeCounters { cancelled: 1, ..none() });
    let puts = counters.queries.puts;
    assert!(puts.started > 0 && puts.started == puts.finished, "{puts:?}");
}

#[test]
fn a_call_beyond_the_bound_is_refused_and_counted_as_that() {
    let config = Config::new().with_limits(Limits::new().with_waiting_calls(1));
    let mut lab = Lab::new(config);
    let (first, second) = (published("first", 1).0, published("second", 1).0);
    let (_, _waiting) = lab.get(&first);
    let (_, refused) = lab.get(&second);
    assert!(matches!(answer(refused), Some(Err(Error::Busy { .. }))));
    let outcomes = lab.engine.counters().calls.get.outcomes;
    assert_eq!(outcomes, OutcomeCounters { refused: 1, ..none() });
}

#[test]
fn queries_are_counted_by_kind_while_they_wait_run_and_after_they_have_ended() {
    let config = Config::new().with_limits(Limits::new().with_running_queries(2));
    let mut lab = Lab::new(config);
    let ids = ["a", "b", "c", "d", "e"].map(|name| published(name, 1).0);
    let _waiting = ids.each_ref().map(|id| lab.get(id));
    let queries = lab.engine.counters().queries;
    assert_eq!((queries.running, queries.waiting), (2, 3));
    let running = lab.lookups();
    lab.end(running[0], 1);
    let expected = QueryCounters {
        lookups: TaskCounters { started: 3, finished: 1 },
        running: 2,
        waiting: 2,
        ..QueryCounters::default()
    };
    assert_eq!(lab.engine.counters().queries, expected);
}

#[test]
fn announcements_are_counted_on_their_way_out_and_in() {
    let mut lab = Lab::new(Config::new());
    let (_, waiting) =
        lab.ask(|reply| Command::Announce { topic: "news".to_owned(), data: vec![1], reply });
    let [Action::Publish { id, .. }] = lab.actions()[..] else { panic!("one announcement") };
    lab.learn(Fact::Published { id, outcome: Published::Unheard });
    assert!(answer(waiting).unwrap().is_ok());
    let before = lab.engine.counters();
    assert_eq!((before.announcements.queued, before.announcements.sent), (1, 0));
    assert_eq!(before.calls.announce, OutcomeCounters { answered: 1, ..none() });
    lab.learn(Fact::Hearer { topic: "news".to_owned() });
    lab.learn(Fact::Published { id, outcome: Published::Sent });

    let topic = lab.engine.cx.config.announcements_topic.clone();
    let (_, head) = published("heard", 1);
    let mut broken = head.bytes().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let now = lab.now();
    lab.engine.hear(now, &topic, head.bytes());
    lab.engine.hear(now, &topic, &broken);
    lab.engine.hear(now, "somebody else's", head.bytes());
    let expected =
        AnnouncementCounters { sent: 1, queued: 0, accepted: 1, ignored: 1, rejected: 1 };
    assert_eq!(lab.engine.counters().announcements, expected);
}

#[test]
fn peers_are_counted_as_they_come_and_go() {
    let mut lab = Lab::new(Config::new());
    let (peer, address) = (PeerId::random(), "/memory/5".parse().unwrap());
    lab.learn(Fact::Connected { peer, address, direction: crate::event::Direction::Inbound });
    lab.learn(Fact::Disconnected { peer, reason: None });
    let expected = PeerCounters { connected: 1, disconnected: 1, ..PeerCounters::default() };
    assert_eq!(lab.engine.counters().peers, expected);
}

#[test]
fn a_peer_that_is_let_go_is_counted_once_and_by_the_first_reason() {
    let counted = |lab: &Lab| lab.engine.counters().peers.let_go;
    let (mut lab, [liar, loud, stranger, visitor, last]) = lab_with();
    (0..5).for_each(|_| lab.engine.standing.reputations_mut().invalid(liar));
    lab.engine.judge();
    let expected = LetGoCounters { blocked: 1, ..LetGoCounters::default() };
    assert_eq!(counted(&lab), expected);
    // Whoever goes on while it is told is not let go again.
    lab.engine.peers.drop_peer(&mut lab.engine.out, liar, LetGo::Flood);
    lab.engine.peers.drop_peer(&mut lab.engine.out, loud, LetGo::Flood);
    let expected = LetGoCounters { flood: 1, ..expected };
    assert_eq!(counted(&lab), expected);

    goes(&mut lab, stranger);
    come(&mut lab, stranger, Direction::Outbound);
    let affiliation = Affiliation::Other("other".parse().unwrap());
    for peer in [stranger, visitor] {
        let (agent, affiliation) = (Some("x".to_owned()), affiliation.clone());
        lab.learn(Fact::Introduced { peer, agent, affiliation });
    }
    assert_eq!(counted(&lab), LetGoCounters { other_network: 1, ..expected });
    lab.advance(INTRODUCTION_TIME + SECOND);
    let expected = LetGoCounters { other_network: 2, ..expected };
    assert_eq!(counted(&lab), expected, "a visitor has had its time");

    lab.engine.shut_down();
    let expected = LetGoCounters { going_away: 1, ..expected };
    assert_eq!(counted(&lab), expected, "of those who stay there is {last} alone");
    assert_eq!(expected.total(), 5);
}

#[test]
fn each_time_that_a_peer_is_connected_counts_for_itself() {
    let (mut lab, [peer]) = lab_with();
    for times in 1..=3 {
        lab.engine.peers.drop_peer(&mut lab.engine.out, peer, LetGo::Flood);
        goes(&mut lab, peer);
        lab.engine.peers.drop_peer(&mut lab.engine.out, peer, LetGo::Flood);
        assert_eq!(lab.engine.counters().peers.let_go.flood, times);
        come(&mut lab, peer, Direction::Inbound);
    }
}

#[test]
fn goodbyes_of_peers_are_counted_by_what_they_say() {
    let (mut lab, peers) = lab_with::<5>();
    for (peer, reason) in peers.into_iter().zip([1, 1, 2, 3, 200]) {
        says_goodbye(&mut lab, peer, reason, vec![]);
        says_goodbye(&mut lab, peer, 2, vec![]);
    }
    says_goodbye(&mut lab, someone(), 1, vec![]);
    let heard = lab.engine.counters().peers.goodbyes;
    assert_eq!(heard, GoodbyeCounters { no_room: 2, going_away: 1, blocked: 1, other: 1 });
    assert_eq!(heard.total(), 5);
}

#[test]
fn whoever_is_turned_away_is_counted_and_no_peer_that_was_connected() {
    let mut lab = Lab::new(Config::new());
    (0..3).for_each(|_| lab.learn(Fact::TurnedAway { lacking: Lacking::Nothing }));
    let expected = PeerCounters { turned_away: 3, ..PeerCounters::default() };
    assert_eq!(lab.engine.counters().peers, expected);
}

#[test]
fn connections_are_counted_by_what_they_are_kept_for_and_none_is_left_out() {
    let (mut lab, peers) = lab_with::<24>();
    let strangers = [(); 3].map(|()| someone());
    strangers.iter().for_each(|peer| lab.visited_by(*peer));
    let mesh = [peers[0], peers[1]].into();
    lab.learn(Fact::Seen { mesh, traffic: Box::default() });
    lab.engine.let_go(peers[2], Farewell::NoRoom);
    let about = lab.engine.metadata();
    let kept = about.connections;
    assert_eq!((kept.mesh, kept.nothing), (2, 1), "{kept:?}");
    assert!((18..=20).contains(&kept.neighbour) && kept.grace >= 3, "{kept:?}");
    assert_eq!(kept.each().iter().map(|(_, peers)| peers).sum::<u32>(), about.peers);
    assert_eq!(about.connection_target, 48);
    let shown = lab.engine.connected_peers().into_iter().map(|peer| peer.kept_for);
    assert_eq!(kept, crate::connections::KeptConnections::of(shown), "as the list of peers has it");
}

#[test]
fn what_streams_have_carried_is_told_as_it_was_seen_last() {
    let mut lab = Lab::new(Config::new());
    let mut traffic = TrafficCounters::default();
    traffic.dht.bytes_in = 7;
    lab.learn(Fact::Seen { mesh: HashSet::new(), traffic: Box::new(traffic) });
    assert_eq!(lab.engine.metadata().counters.traffic, traffic);
}

#[test]
fn what_a_node_says_of_itself_is_of_now() {
    let mut lab = Lab::untouched(Config::new());
    assert_eq!(lab.engine.metadata().routing_table, 0);
    let peer = PeerId::random();
    lab.learn(Fact::Routable { peer });
    lab.joins();
    lab.learn(Fact::Unroutable { peer });
    lab.advance(Duration::from_millis(61_900));
    let (_, head) = published("known", 1);
    let topic = lab.engine.cx.config.announcements_topic.clone();
    let now = lab.now();
    lab.engine.hear(now, &topic, head.bytes());

    let metadata = lab.engine.metadata();
    assert_eq!(metadata.routing_table, 1);
    assert_eq!(metadata.uptime, Duration::from_secs(61));
    assert_eq!((metadata.own_packages, metadata.known_packages), (0, 1));
    let keywords: usize = head.latest().unwrap().keywords.iter().map(String::len).sum();
    let least = (head.bytes().len() + keywords) as u64;
    assert!((least..least + 16).contains(&metadata.catalogue_bytes));
    assert_eq!(metadata.owner, metadata.peer_id);
    let text = serde_json::to_string(&metadata).unwrap();
    assert!(text.contains(r#""uptime":"1m 1s""#), "{text}");
    let read: crate::registry::RegistryMetadata = serde_json::from_str(&text).unwrap();
    assert_eq!(read, metadata);
    let stranger = text.replacen("rejected", "resented", 1);
    assert!(serde_json::from_str::<crate::registry::RegistryMetadata>(&stranger).is_err());
}
