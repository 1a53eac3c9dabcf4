//! Many requests, some of which are cancelled, and connections that end.

use std::collections::BTreeSet;

use futures::AsyncWriteExt as _;
use libp2p::swarm::ConnectionError;

use super::{
    super::outbound::MAX_STREAMS,
    raw::{End, no_answer, serve_raw},
    *,
};

#[test]
fn many_requests_share_a_few_streams_in_order_and_none_is_lost() {
    run(async |spawner| {
        let come: Rc<RefCell<Vec<Vec<Request>>>> = Rc::default();
        let log = Rc::clone(&come);
        let address = serve_raw(&spawner, move |number, mut messages| {
            log.borrow_mut().push(Vec::new());
            let log = Rc::clone(&log);
            async move {
                loop {
                    let request = messages.request().await?;
                    log.borrow_mut()[number].push(request.clone());
                    messages.answer(&request).await?;
                }
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        let asked: BTreeSet<RequestId> =
            (0..500).map(|number| client.begin(peer, find(number))).collect();
        let mut ended = BTreeSet::new();
        for _ in 0..500 {
            let (id, outcome) = client.ended().await;
            assert_eq!(outcome, Ok(no_answer(&find(0))));
            ended.insert(id);
        }
        assert_eq!(asked, ended);
        let come = come.borrow();
        assert_eq!(come.len(), MAX_STREAMS);
        for stream in come.iter() {
            let number = |request: &Request| (0..500).find(|number| find(*number) == *request);
            assert!(stream.iter().map(number).is_sorted());
        }
    });
}

#[test]
fn a_cancelled_request_frees_its_stream_and_is_not_heard_of() {
    run(async |spawner| {
        let broken_off = Rc::new(RefCell::new(0));
        let count = Rc::clone(&broken_off);
        let address = serve_raw(&spawner, move |_, mut messages| {
            let count = Rc::clone(&count);
            async move {
                let request = messages.request().await?;
                if request == find(100) {
                    return messages.answer(&request).await;
                }
                // Nobody answers the others.
                if messages.end().await == End::BrokenOff {
                    *count.borrow_mut() += 1;
                }
                None
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        let asked: Vec<RequestId> =
            (0..20).map(|number| client.begin(peer, find(number))).collect();
        let last = client.begin(peer, find(100));
        client.wait(100).await;
        for id in asked {
            client.cancel(id);
        }
        assert_eq!(client.ended().await, (last, Ok(no_answer(&find(100)))));
        client.wait(50).await;
        assert_eq!(*broken_off.borrow(), MAX_STREAMS);
    });
}

#[test]
fn a_request_that_is_cancelled_at_once_does_not_leave() {
    run(async |spawner| {
        let server = serve(&spawner, Times::DEFAULT, |request| Some(no_answer(request))).await;
        let mut client = Client::new();
        let peer = client.connect(&server.address).await;
        let id = client.begin(peer, find(1));
        client.cancel(id);
        client.wait(50).await;
        assert_eq!(*server.asked.borrow(), []);
        assert!(client.ask(peer, find(2)).await.is_ok());
        // An answer that has come and was not told yet is not told either.
        let nobody = client.begin(PeerId::random(), find(3));
        client.cancel(nobody);
        client.wait(50).await;
    });
}

#[test]
fn idle_streams_keep_no_connection_open_and_requests_do() {
    run(async |spawner| {
        let address = serve_raw(&spawner, |_, mut messages| async move {
            loop {
                let request = messages.request().await?;
                Timer::after(Duration::from_millis(400)).await;
                messages.answer(&request).await?;
            }
        })
        .await;
        let behaviour = |_| Behaviour::new(PROTOCOL, DhtMode::Client);
        let swarm = swarm_with(behaviour, Duration::from_millis(100));
        let mut client = Client { swarm, next: 0 };
        let peer = client.connect(&address).await;
        for number in 0..2 {
            assert!(client.ask(peer, find(number)).await.is_ok());
        }
        loop {
            let event = client.swarm.select_next_some().await;
            if let SwarmEvent::ConnectionClosed { cause, .. } = event {
                assert!(matches!(cause, Some(ConnectionError::KeepAliveTimeout)), "{cause:?}");
                break;
            }
        }
        assert_eq!(client.ask(peer, find(3)).await, Err(Failure::Gone));
    });
}

#[test]
fn an_idle_stream_is_closed_in_good_order_before_the_peer_would_do_it() {
    run(async |spawner| {
        let ends: Rc<RefCell<Vec<End>>> = Rc::default();
        let log = Rc::clone(&ends);
        let address = serve_raw(&spawner, move |_, mut messages| {
            let log = Rc::clone(&log);
            async move {
                for _ in 0..3 {
                    let request = messages.request().await?;
                    messages.answer(&request).await?;
                }
                let end = messages.end().await;
                log.borrow_mut().push(end);
                messages.stream.close().await.ok()
            }
        })
        .await;
        let idle = Duration::from_secs(3);
        let mut client = Client::with_times(Times { idle, ..HASTY });
        let peer = client.connect(&address).await;
        for number in 0..3 {
            // Used again meanwhile, it stays open.
            client.wait(1200).await;
            assert!(client.ask(peer, find(number)).await.is_ok());
        }
        assert!(ends.borrow().is_empty());
        while ends.borrow().is_empty() {
            client.wait(100).await;
        }
        assert_eq!(*ends.borrow(), [End::Closed]);
        assert!(client.ask(peer, find(4)).await.is_ok());
    });
}

#[test]
fn requests_end_with_the_last_connection_and_go_on_over_another() {
    run(async |spawner| {
        let mut held = serve(&spawner, Times::DEFAULT, {
            let mut first = true;
            move |request| (!std::mem::take(&mut first)).then(|| no_answer(request))
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&held.address).await;
        let connection = |client: &mut Client| {
            let id = client.swarm.behaviour().connection_with(&peer).unwrap();
            client.swarm.close_connection(id);
        };
        let id = client.begin(peer, find(1));
        client.wait(50).await;
        let options = libp2p::swarm::dial_opts::DialOpts::peer_id(peer)
            .condition(libp2p::swarm::dial_opts::PeerCondition::Always)
            .addresses(vec![held.address.clone()])
            .build();
        client.swarm.dial(options).unwrap();
        client.wait(50).await;
        connection(&mut client);
        assert_eq!(client.ended().await, (id, Ok(no_answer(&find(1)))));
        assert_eq!(*held.asked.borrow(), [find(1), find(1)]);

        held = serve(&spawner, Times::DEFAULT, |_| None).await;
        let peer = client.connect(&held.address).await;
        let ids: Vec<RequestId> = (0..10).map(|number| client.begin(peer, find(number))).collect();
        client.wait(50).await;
        client.swarm.disconnect_peer_id(peer).unwrap();
        for id in ids {
            assert_eq!(client.ended().await, (id, Err(Failure::Gone)));
        }
    });
}

#[test]
fn who_is_not_connected_is_not_asked() {
    run(async |_| {
        let mut client = Client::new();
        assert_eq!(client.ask(PeerId::random(), find(1)).await, Err(Failure::Gone));
    });
}

#[test]
fn a_peer_that_vanishes_is_gone() {
    run(async |spawner| {
        let (raw, mut streams) = super::raw::Raw::new(PROTOCOL);
        let mut other = swarm(|_| raw);
        let address = listen(&mut other).await;
        let vanish = async move {
            // It goes with a request unanswered.
            let _request = select(
                streams.next(),
                Box::pin(async {
                    loop {
                        other.next().await;
                    }
                }),
            );
            let _stream = _request.await;
        };
        spawner.spawn_local(vanish).unwrap();
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        assert_eq!(client.ask(peer, find(1)).await, Err(Failure::Gone));
    });
}
