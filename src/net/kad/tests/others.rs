//! rust-libp2p's Kademlia at the other end.

use libp2p_kad as kad;
use libp2p_kad::{
    AddProviderOk, GetClosestPeersOk, GetProvidersOk, GetRecordOk, PutRecordError, QueryResult,
    Quorum, Record, RecordKey, store::MemoryStore, store::RecordStore as _,
};

use super::{raw::no_answer, *};

pub(super) type Kad = kad::Behaviour<MemoryStore>;

pub(super) fn libp2p(mode: kad::Mode) -> Swarm<Kad> {
    swarm(|peer| {
        let config = kad::Config::new(PROTOCOL);
        let mut kad = Kad::with_config(peer, MemoryStore::new(peer), config);
        kad.set_mode(Some(mode));
        kad
    })
}

pub(super) fn record(number: u32) -> Record {
    Record::new(RecordKey::new(&key(number)), vec![7; 600])
}

/// How a query ends.
pub(super) async fn result(swarm: &mut Swarm<Kad>) -> QueryResult {
    loop {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { result, .. }) = event {
            return result;
        }
    }
}

/// A node of libp2p that knows a server of ours, and that server.
async fn asks_ours(
    spawner: &LocalSpawner,
    answer: impl FnMut(&Request) -> Option<Response> + 'static,
) -> (Swarm<Kad>, PeerId, Server) {
    let server = serve(spawner, Times::DEFAULT, answer).await;
    let mut other = libp2p(kad::Mode::Client);
    let peer = connect(&mut other, &server.address).await;
    other.behaviour_mut().add_address(&peer, server.address.clone());
    (other, peer, server)
}

#[test]
fn libp2p_gets_what_we_hold() {
    run(async |spawner| {
        let (mut other, ..) = asks_ours(&spawner, |request| {
            Some(match request {
                Request::GetValue { key } if **key == *super::key(1) => {
                    Response::Found { value: Some(value(1)), closer: vec![].into() }
                }
                request => no_answer(request),
            })
        })
        .await;
        other.behaviour_mut().get_record(record(1).key);
        let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) = result(&mut other).await
        else {
            panic!("not found")
        };
        assert_eq!((found.record.key, found.record.value), (record(1).key, record(1).value));
        other.behaviour_mut().get_record(record(2).key);
        while !matches!(result(&mut other).await, QueryResult::GetRecord(Err(_))) {}
    });
}

#[test]
fn libp2p_puts_what_we_keep_and_learns_what_we_do_not() {
    run(async |spawner| {
        let (mut other, _, server) = asks_ours(&spawner, |request| {
            Some(match request {
                Request::PutValue(put) if *put == value(1) => Response::Kept(Some(put.clone())),
                request => no_answer(request),
            })
        })
        .await;
        for (number, is_kept) in [(1, true), (2, false), (1, true)] {
            other.behaviour_mut().put_record(record(number), Quorum::One).unwrap();
            let QueryResult::PutRecord(put) = result(&mut other).await else { panic!("no put") };
            assert_eq!(put.is_ok(), is_kept);
            if let Err(PutRecordError::Timeout { .. }) = put {
                panic!("a refusal is an answer");
            }
            assert_eq!(server.asked.borrow().last(), Some(&Request::PutValue(value(number))));
        }
    });
}

#[test]
fn libp2p_finds_whom_we_know() {
    run(async |spawner| {
        let mut third = libp2p(kad::Mode::Server);
        let address = listen(&mut third).await;
        let known = Contact { peer: *third.local_peer_id(), addresses: vec![address] };
        drive(&spawner, third);
        let peers = vec![known.clone()];
        let (mut other, ours, _) = asks_ours(&spawner, move |request| {
            Some(match request {
                Request::FindNode { .. } => Response::Closer { peers: peers.clone().into() },
                request => no_answer(request),
            })
        })
        .await;
        other.behaviour_mut().get_closest_peers(key(1).to_vec());
        let QueryResult::GetClosestPeers(Ok(GetClosestPeersOk { peers, .. })) =
            result(&mut other).await
        else {
            panic!("nobody")
        };
        let mut found: Vec<PeerId> = peers.into_iter().map(|peer| peer.peer_id).collect();
        let mut expected = vec![ours, known.peer];
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    });
}

#[test]
fn libp2p_finds_no_providers_here_and_its_own_offer_does_no_harm() {
    run(async |spawner| {
        let (mut other, _, server) = asks_ours(&spawner, |request| Some(no_answer(request))).await;
        other.behaviour_mut().get_providers(record(1).key);
        loop {
            match result(&mut other).await {
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders {
                    providers, ..
                })) => assert!(providers.is_empty()),
                QueryResult::GetProviders(Ok(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(server.asked.borrow().last(), Some(&Request::GetProviders { key: key(1) }));
        other.behaviour_mut().start_providing(record(1).key).unwrap();
        let QueryResult::StartProviding(Ok(AddProviderOk { .. })) = result(&mut other).await else {
            panic!("it does not provide")
        };
        other.behaviour_mut().get_providers(record(2).key);
        while !matches!(result(&mut other).await, QueryResult::GetProviders(_)) {}
    });
}

#[test]
fn libp2p_answers_all_that_we_ask_but_whether_it_is_there() {
    run(async |spawner| {
        let mut other = libp2p(kad::Mode::Server);
        let address = listen(&mut other).await;
        let known = contact(&["/ip4/8.8.8.8/tcp/1"]);
        other.behaviour_mut().add_address(&known.peer, known.addresses[0].clone());
        other.behaviour_mut().store_mut().put(record(1)).unwrap();
        drive(&spawner, other);

        let mut client = Client::new();
        let peer = client.connect(&address).await;
        let closer = vec![known];
        for _ in 0..3 {
            let found = |value| Ok(Response::Found { value, closer: closer.clone().into() });
            assert_eq!(client.ask(peer, get(1)).await, found(Some(value(1))));
            assert_eq!(client.ask(peer, get(2)).await, found(None));
            let told = Ok(Response::Closer { peers: closer.clone().into() });
            assert_eq!(client.ask(peer, find(1)).await, told);
            let providers = Request::GetProviders { key: key(1) };
            assert_eq!(client.ask(peer, providers).await, told);
            let put = client.ask(peer, Request::PutValue(value(3))).await;
            assert_eq!(put, Ok(Response::Kept(Some(value(3)))));
            let held = client.ask(peer, get(3)).await;
            assert_eq!(held, found(Some(value(3))));
            // It closes the stream instead.
            assert_eq!(client.ask(peer, Request::Ping).await, Err(Failure::Broken));
        }
    });
}

#[test]
fn libp2p_does_not_answer_as_a_client() {
    run(async |spawner| {
        let mut other = libp2p(kad::Mode::Client);
        let address = listen(&mut other).await;
        drive(&spawner, other);
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        assert_eq!(client.ask(peer, find(1)).await, Err(Failure::Unsupported));
    });
}
