//! Peers ask this node.

use super::{
    super::inbound::MAX_STREAMS,
    raw::{End, no_answer, nothing, streams_to},
    *,
};

async fn patient(spawner: &LocalSpawner, times: Times) -> Server {
    serve(spawner, times, |request| Some(no_answer(request))).await
}

#[test]
fn everything_that_can_be_asked_is_answered() {
    run(async |spawner| {
        let closer = vec![contact(&["/ip4/8.8.8.8/tcp/1"]), contact(&["/memory/7"])];
        let peers = closer.clone();
        let server = serve(&spawner, Times::DEFAULT, move |request| {
            Some(match request {
                Request::FindNode { .. } | Request::GetProviders { .. } => {
                    Response::Closer { peers: peers.clone().into() }
                }
                Request::GetValue { .. } => {
                    Response::Found { value: Some(value(1)), closer: peers.clone().into() }
                }
                Request::PutValue(value) => Response::Kept(Some(value.clone())),
                Request::Ping => Response::Pong,
            })
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&server.address).await;
        let put = Request::PutValue(value(2));
        for (request, response) in [
            (find(1), Response::Closer { peers: closer.clone().into() }),
            (get(1), Response::Found { value: Some(value(1)), closer: closer.clone().into() }),
            (put, Response::Kept(Some(value(2)))),
            (Request::GetProviders { key: key(1) }, Response::Closer { peers: closer.into() }),
            (Request::Ping, Response::Pong),
        ] {
            assert_eq!(client.ask(peer, request.clone()).await, Ok(response));
            assert_eq!(server.asked.borrow().last(), Some(&request));
        }
    });
}

#[test]
fn nobody_is_told_what_cannot_be_reached_from_where_he_is() {
    run(async |spawner| {
        // Both ends are in one process, and a peer on another link is not.
        let told = contact(&["/ip4/169.254.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"]);
        let peers = vec![told.clone(), contact(&["/ip4/169.254.0.1/tcp/1"])];
        let server = serve(&spawner, Times::DEFAULT, move |_| {
            Some(Response::Closer { peers: peers.clone().into() })
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&server.address).await;
        let addresses = vec!["/ip4/8.8.8.8/tcp/1".parse().unwrap()];
        let peers = vec![Contact { addresses, ..told }];
        assert_eq!(client.ask(peer, find(1)).await, Ok(Response::Closer { peers: peers.into() }));
    });
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other() {
    run(async |spawner| {
        let server = patient(&spawner, Times::DEFAULT).await;
        let [mut messages] =
            streams_to(&spawner, &server.address, 1).await.try_into().ok().unwrap();
        let mut together = Vec::new();
        for number in 0..100 {
            together.extend(super::super::codec::encode_request(&find(number)));
            // Somebody provides something, which needs no answer.
            together.extend([2, 8, 2]);
        }
        together.extend(super::super::codec::encode_request(&Request::Ping));
        messages.write(&together).await.unwrap();
        for number in 0..100 {
            assert_eq!(messages.frame().await, Some(nothing(&find(number))));
        }
        assert_eq!(messages.frame().await, Some(nothing(&Request::Ping)));
        let asked: Vec<Request> = (0..100).map(find).chain([Request::Ping]).collect();
        assert_eq!(*server.asked.borrow(), asked);
    });
}

#[test]
fn a_request_may_come_a_byte_at_a_time() {
    run(async |spawner| {
        let server = patient(&spawner, Times::DEFAULT).await;
        let [mut messages] =
            streams_to(&spawner, &server.address, 1).await.try_into().ok().unwrap();
        for _ in 0..3 {
            for byte in super::super::codec::encode_request(&get(1)) {
                messages.write(&[byte]).await.unwrap();
                Timer::after(Duration::from_millis(1)).await;
            }
            assert_eq!(messages.frame().await, Some(nothing(&get(1))));
        }
    });
}

#[test]
fn what_is_no_request_ends_its_stream_alone() {
    run(async |spawner| {
        let server = patient(&spawner, Times::DEFAULT).await;
        let mut streams = streams_to(&spawner, &server.address, 4).await;
        // Of an unknown type, without a key, with a length that is longer than it must be.
        for (messages, junk) in
            streams.iter_mut().zip([&[2, 8, 9][..], &[2, 8, 1], &[0x82, 0, 8, 5]])
        {
            messages.write(junk).await.unwrap();
            assert_eq!(messages.end().await, End::BrokenOff);
        }
        let last = streams.last_mut().unwrap();
        last.ask(&find(1)).await.unwrap();
        assert_eq!(last.frame().await, Some(nothing(&find(1))));
    });
}

#[test]
fn a_stream_too_many_takes_the_place_of_the_one_that_was_idle_for_longest() {
    run(async |spawner| {
        let server = patient(&spawner, Times::DEFAULT).await;
        let mut streams = streams_to(&spawner, &server.address, MAX_STREAMS + 1).await;
        for messages in &mut streams[..MAX_STREAMS] {
            messages.ask(&find(1)).await.unwrap();
            assert!(messages.frame().await.is_some());
        }
        // The first is not idle for longest any more.
        streams[0].ask(&find(1)).await.unwrap();
        assert!(streams[0].frame().await.is_some());
        let [first, second, .., last] = &mut streams[..] else { unreachable!() };
        last.ask(&find(2)).await.unwrap();
        assert!(last.frame().await.is_some());
        assert_eq!(second.end().await, End::BrokenOff);
        first.ask(&find(3)).await.unwrap();
        assert!(first.frame().await.is_some());
    });
}

#[test]
fn requests_that_wait_for_an_answer_keep_their_streams() {
    run(async |spawner| {
        let server = serve(&spawner, Times::DEFAULT, |_| None).await;
        let begun = std::time::Instant::now();
        let mut streams = streams_to(&spawner, &server.address, MAX_STREAMS + 1).await;
        for (number, messages) in streams.iter_mut().enumerate() {
            messages.ask(&find(1)).await.unwrap();
            while server.asked.borrow().len() < MAX_STREAMS.min(number + 1) {
                Timer::after(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(streams.last_mut().unwrap().end().await, End::BrokenOff);
        assert_eq!(server.asked.borrow().len(), MAX_STREAMS);
        assert!(begun.elapsed() < Times::DEFAULT.request);
    });
}

#[test]
fn a_stream_is_broken_off_if_it_is_idle_or_half_a_request_for_long() {
    run(async |spawner| {
        let server =
            serve(&spawner, HASTY, |request| (*request != find(2)).then(|| no_answer(request)))
                .await;
        let mut streams = streams_to(&spawner, &server.address, 3).await;
        let [idle, half, unanswered] = &mut streams[..] else { unreachable!() };
        let begun = std::time::Instant::now();
        idle.ask(&find(1)).await.unwrap();
        assert!(idle.frame().await.is_some());
        half.write(&[20, 8]).await.unwrap();
        unanswered.ask(&find(2)).await.unwrap();
        assert_eq!(half.end().await, End::BrokenOff);
        assert_eq!(unanswered.end().await, End::BrokenOff);
        assert!(begun.elapsed() >= HASTY.request);
        assert_eq!(idle.end().await, End::BrokenOff);
        assert!(begun.elapsed() >= HASTY.idle_inbound);
    });
}

#[test]
fn an_answer_that_nobody_waits_for_is_harmless() {
    run(async |spawner| {
        let mut server = swarm(|_| Behaviour::new(PROTOCOL, DhtMode::Server));
        let address = listen(&mut server).await;
        let mut client = Client::new();
        let asking = async move {
            let peer = client.connect(&address).await;
            client.begin(peer, find(1));
            client.begin(peer, find(2));
            for _ in 0..2 {
                let (_, outcome) = client.ended().await;
                assert_eq!(outcome, Ok(no_answer(&find(1))));
            }
        };
        let mut asking = spawner.spawn_local_with_handle(asking).unwrap();
        let mut answered = Vec::new();
        let serving = async {
            loop {
                let event = server.select_next_some().await;
                if let SwarmEvent::Behaviour(Event::Asked { asked, request, .. }) = event {
                    for earlier in answered.iter().copied().chain([asked, asked]) {
                        server.behaviour_mut().answer(earlier, no_answer(&request));
                    }
                    answered.push(asked);
                }
            }
        };
        select(&mut asking, Box::pin(serving)).await;
        for asked in answered {
            server.behaviour_mut().answer(asked, Response::Pong);
        }
        select(server.next(), Timer::after(Duration::from_millis(50))).await;
    });
}
