//! Searches that ask connected peers: what is told, and what is said of how much of the network that is.

use super::*;
use crate::{
    coverage::Coverage,
    exchange::{self, Response},
    package::Query,
    record::Hello,
    search::{Finding, Findings, SearchReport},
};

/// A search under way.
struct Search {
    found: mpsc::UnboundedReceiver<Finding>,
    names: Vec<String>,
    report: Option<SearchReport>,
}

impl Search {
    fn begin(lab: &mut Lab, query: Query) -> Self {
        let (findings, found) = Findings::channel();
        lab.send(Command::SearchPeers { query: Box::new(query), findings });
        Self { found, names: Vec::new(), report: None }
    }

    /// What has been told so far, in the order in which it came.
    fn names(&mut self) -> &[String] {
        while let Ok(finding) = self.found.try_recv() {
            match finding {
                Finding::Hit(hit) => self.names.push(hit.package.id.name().to_string()),
                Finding::Ended(report) => self.report = Some(report),
                Finding::Failed(error) => panic!("{error}"),
            }
        }
        &self.names
    }

    /// What is said at the end, if that has come.
    fn report(&mut self) -> Option<SearchReport> {
        self.names();
        self.report.clone()
    }
}

/// What a peer was asked to search for.
struct Asked {
    question: QuestionId,
    peer: PeerId,
    search: exchange::Search,
}

fn connect(lab: &mut Lab) -> PeerId {
    connect_as(lab, PeerId::random())
}

fn connect_as(lab: &mut Lab, peer: PeerId) -> PeerId {
    lab.visited_by(peer);
    lab.actions();
    peer
}

/// What a peer says of itself; who it is stands in it when it is signed.
fn hello(coverage: Coverage, packages: u64) -> Hello {
    let mut hello = Hello::new(NetworkName::default(), PeerId::random(), UNIX);
    (hello.coverage, hello.packages) = (coverage, packages);
    hello
}

/// Connects a peer that says this of itself.
fn greet(lab: &mut Lab, hello: Hello) -> PeerId {
    let keypair = Keypair::generate_ed25519();
    let peer = connect_as(lab, keypair.public().to_peer_id());
    let hello = Signed::sign(&keypair, Hello { peer, ..hello }).unwrap().bytes().to_vec();
    let request = exchange::Request::Hello(hello).encode().unwrap();
    lab.learn(Fact::Asked { asked: AskedId(0), peer, request });
    lab.actions();
    peer
}

/// Whom a search has asked since the last look.
fn asked(lab: &mut Lab) -> Vec<Asked> {
    lab.actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Ask { question, peer, request } => match exchange::Request::decode(&request) {
                Ok(exchange::Request::Search(search)) => Some(Asked { question, peer, search }),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn hits(lab: &mut Lab, question: QuestionId, heads: &[&Signed<Head>], more: bool) {
    let total = heads.len() as u64 + u64::from(more);
    let heads = heads.iter().map(|head| head.bytes().to_vec()).collect();
    let response = Response::Hits { heads, total, more }.encode().unwrap();
    lab.learn(Fact::Answered { question, response });
}

fn sorted(mut peers: Vec<PeerId>) -> Vec<PeerId> {
    peers.sort();
    peers
}

#[test]
fn what_any_of_the_words_peers_hold_is_found_each_once() {
    let mut lab = Lab::new(Config::new());
    let [http, json, both] = ["http", "json", "http-json"].map(|name| published(name, 1).1);
    let peers = [connect(&mut lab), connect(&mut lab)];
    let query = Query::new().with_text("http json").with_matching(crate::package::Match::Any);
    let mut search = Search::begin(&mut lab, query);
    let questions = asked(&mut lab);
    assert_eq!(sorted(questions.iter().map(|asked| asked.peer).collect()), sorted(peers.into()));
    hits(&mut lab, questions[0].question, &[&http, &both], false);
    assert_eq!(search.names(), ["http", "http-json"], "told as it comes");
    assert_eq!(search.report(), None);
    hits(&mut lab, questions[1].question, &[&both, &json], false);
    assert_eq!(search.names(), ["http", "http-json", "json"]);
    let report = search.report().expect("all have answered");
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(sorted(report.answered), sorted(peers.into()));
}

#[test]
fn who_declines_is_late_goes_away_or_talks_nonsense_is_told_of_and_the_answer_is_not_complete() {
    let mut lab = Lab::new(Config::new());
    let head = published("tool", 1).1;
    for _ in 0..6 {
        connect(&mut lab);
    }
    let mut search = Search::begin(&mut lab, Query::new().with_text("tool"));
    let questions = asked(&mut lab);
    let [answers, declines, ignores, leaves, babbles, late] = &questions[..] else { panic!("six") };
    hits(&mut lab, answers.question, &[&head], false);
    let response = Response::Declined { retry_after_secs: 5 }.encode().unwrap();
    lab.learn(Fact::Answered { question: declines.question, response });
    let why = Unanswered::Unsupported;
    lab.learn(Fact::Unanswered { question: ignores.question, why });
    lab.learn(Fact::Unanswered { question: leaves.question, why: Unanswered::Gone });
    lab.learn(Fact::Answered { question: babbles.question, response: vec![7; 9] });
    assert_eq!(search.report(), None, "one may still answer");
    lab.advance(Duration::from_secs(31));
    let report = search.report().expect("the deadline ends it");
    assert_eq!(search.names(), ["tool"]);
    assert_eq!(
        sorted(report.asked.clone()),
        sorted(questions.iter().map(|one| one.peer).collect())
    );
    assert_eq!(report.answered, [answers.peer]);
    assert_eq!(report.declined, [declines.peer, ignores.peer]);
    assert_eq!(report.failed, [leaves.peer, babbles.peer]);
    assert_eq!(report.timed_out, [late.peer]);
    assert!(!report.is_complete() && !report.truncated);
    // What comes afterwards is nobody's.
    hits(&mut lab, late.question, &[&head], false);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_peer_is_asked_for_its_further_pages_up_to_the_limit_and_then_there_is_more() {
    let mut lab = Lab::new(Config::new());
    let heads: Vec<_> = (0..6).map(|n| published(&format!("tool-{n}"), 1).1).collect();
    connect(&mut lab);
    let mut search = Search::begin(&mut lab, Query::new().with_text("tool").with_limit(5));
    let mut pages = Vec::new();
    for page in heads.chunks(2) {
        let [question] = &asked(&mut lab)[..] else { panic!("one page after the other") };
        pages.push((question.search.offset, question.search.limit));
        hits(&mut lab, question.question, &page.iter().collect::<Vec<_>>(), true);
    }
    assert_eq!(pages, [(0, 5), (2, 3), (4, 1)]);
    assert!(asked(&mut lab).is_empty());
    assert_eq!(search.names().len(), 5, "what exceeds the limit was not asked for");
    let report = search.report().expect("it has answered");
    assert!(report.truncated && !report.is_complete());
}

#[test]
fn nobody_is_asked_who_has_nothing_and_a_light_client_for_what_it_publishes() {
    let mut lab = Lab::new(Config::new());
    greet(&mut lab, hello(Coverage::None, 0));
    let publishes = greet(&mut lab, hello(Coverage::None, 1));
    let keeps = greet(&mut lab, hello(Coverage::All, 0));
    let mut search = Search::begin(&mut lab, Query::new());
    let peers = asked(&mut lab).into_iter().map(|asked| asked.peer).collect();
    assert_eq!(sorted(peers), sorted(vec![publishes, keeps]));
    assert_eq!(search.report(), None);
}

#[test]
fn an_answer_is_not_complete_where_nobody_was_asked_or_some_were_not() {
    let mut lab = Lab::new(Config::new());
    let mut alone = Search::begin(&mut lab, Query::new());
    assert!(!alone.report().expect("there is nobody to wait for").is_complete());
    for _ in 0..20 {
        connect(&mut lab);
    }
    let mut search = Search::begin(&mut lab, Query::new());
    let questions = asked(&mut lab);
    assert_eq!(questions.len(), 16);
    questions.iter().for_each(|asked| hits(&mut lab, asked.question, &[], false));
    let report = search.report().expect("all have answered");
    assert_eq!((report.answered.len(), report.unasked), (16, 4));
    assert!(!report.is_complete() && !report.truncated);
}

#[test]
fn nothing_invalid_withdrawn_or_beside_the_point_is_told_whoever_says_it() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let (id, live) = published_by(&keypair, "tool", 1);
    let gone = tombstone(&keypair, &id, 2);
    lab.hears_from(PeerId::random(), &gone);
    let peer = connect(&mut lab);
    let mut search = Search::begin(&mut lab, Query::new().with_text("tool"));
    let [question] = &asked(&mut lab)[..] else { panic!("one peer") };
    let mut forged = published("tool", 3).1.bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let beside = published("other", 1).1.bytes().to_vec();
    let heads = vec![live.bytes().to_vec(), forged, beside, gone.bytes().to_vec()];
    let response = Response::Hits { heads, total: 4, more: false }.encode().unwrap();
    lab.learn(Fact::Answered { question: question.question, response });
    assert!(search.names().is_empty(), "{:?}", search.names());
    let report = search.report().expect("it has answered");
    assert_eq!((report.answered, report.failed), (vec![], vec![peer]), "it has lied");
}

#[test]
fn while_an_earlier_lifes_catalogue_is_read_back_there_may_be_more() {
    let mut lab = Lab::new(Config::new());
    connect(&mut lab);
    lab.engine
        .discovery
        .restore(std::iter::once(std::sync::Arc::clone(published("tool", 1).1.bytes())));
    let mut search = Search::begin(&mut lab, Query::new());
    let [question] = &asked(&mut lab)[..] else { panic!("one peer") };
    hits(&mut lab, question.question, &[], false);
    let report = search.report().expect("it has answered");
    assert!(report.truncated && !report.is_complete());
}

/// How many searches of a peer are answered before it has spent all.
fn answered(packages: usize, query: &Query) -> usize {
    let limits = Limits::new().with_requests_per_second(1).with_request_burst(1_000);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let keypair = Keypair::generate_ed25519();
    for number in 0..packages {
        let (_, head) = published_by(&keypair, &format!("tool-{number}"), 1);
        lab.engine.list(&head, None, crate::engine::discovery::catalogue::Interest::Heard);
    }
    let peer = connect(&mut lab);
    let search = exchange::Search::of(query, 0, 1);
    let request = exchange::Request::Search(search).encode().unwrap();
    let mut is_served = || {
        lab.learn(Fact::Asked { asked: AskedId(0), peer, request: request.clone() });
        lab.actions().into_iter().any(|action| match action {
            Action::Answer { response, .. } => {
                matches!(Response::decode(&response), Ok(Response::Hits { .. }))
            }
            _ => false,
        })
    };
    (0..100).take_while(|_| is_served()).count()
}

#[test]
fn a_strangers_search_costs_it_what_has_to_be_looked_through() {
    let (everything, nothing) = (Query::new(), Query::new().with_text("nothing"));
    let few = answered(10, &everything);
    assert!(few > 20, "{few}");
    assert_eq!(answered(3_000, &nothing), few, "there is nothing to look at");
    let many = answered(3_000, &everything);
    assert!(many * 3 < few * 2, "{many} of all packages, {few} of ten");
}
