//! This node asks peers that are not as it is.

use futures::AsyncWriteExt as _;

use super::{
    raw::{Messages, no_answer, nothing, serve_raw},
    *,
};

/// Asks a number of times, one after the other. All is answered.
async fn ask_often(client: &mut Client, peer: PeerId, times: u32) {
    for number in 0..times {
        assert_eq!(client.ask(peer, find(number)).await, Ok(no_answer(&find(number))));
    }
}

#[test]
fn one_stream_carries_one_request_after_another() {
    run(async |spawner| {
        let streams = Rc::new(RefCell::new(0));
        let count = Rc::clone(&streams);
        let address = serve_raw(&spawner, move |_, mut messages| {
            *count.borrow_mut() += 1;
            async move {
                loop {
                    let request = messages.request().await?;
                    messages.answer(&request).await?;
                }
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        ask_often(&mut client, peer, 50).await;
        assert_eq!(*streams.borrow(), 1);
    });
}

#[test]
fn a_peer_that_answers_once_a_stream_is_asked_on_a_new_one_each_time() {
    run(async |spawner| {
        let requests = Rc::new(RefCell::new(0));
        let count = Rc::clone(&requests);
        let address = serve_raw(&spawner, move |_, mut messages| {
            let count = Rc::clone(&count);
            async move {
                let request = messages.request().await?;
                *count.borrow_mut() += 1;
                messages.answer(&request).await?;
                messages.stream.close().await.ok()
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        ask_often(&mut client, peer, 30).await;
        assert_eq!(*requests.borrow(), 30);
        let ids: Vec<RequestId> = (0..30).map(|number| client.begin(peer, get(number))).collect();
        for _ in ids {
            assert!(client.ended().await.1.is_ok());
        }
    });
}

#[test]
fn a_request_goes_out_again_if_its_stream_was_closed_before_the_answer() {
    run(async |spawner| {
        let streams = Rc::new(RefCell::new(0));
        let count = Rc::clone(&streams);
        let address = serve_raw(&spawner, move |_, mut messages| {
            *count.borrow_mut() += 1;
            async move {
                for _ in 0..3 {
                    let request = messages.request().await?;
                    messages.answer(&request).await?;
                }
                // Every fourth is not answered on the stream on which it comes.
                messages.request().await.map(|_| ())
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        ask_often(&mut client, peer, 12).await;
        assert_eq!(*streams.borrow(), 4);
    });
}

#[test]
fn a_request_fails_if_a_new_stream_is_closed_before_the_answer_and_goes_out_no_third_time() {
    run(async |spawner| {
        let streams = Rc::new(RefCell::new(0));
        let count = Rc::clone(&streams);
        let address = serve_raw(&spawner, move |number, mut messages| {
            *count.borrow_mut() += 1;
            async move {
                let request = messages.request().await?;
                if number == 0 {
                    messages.answer(&request).await?;
                    messages.request().await?;
                }
                None
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        ask_often(&mut client, peer, 1).await;
        assert_eq!(client.ask(peer, find(1)).await, Err(Failure::Broken));
        assert_eq!(*streams.borrow(), 2);
        assert_eq!(client.ask(peer, find(2)).await, Err(Failure::Broken));
        assert_eq!(*streams.borrow(), 3);
    });
}

#[test]
fn an_answer_may_come_a_byte_at_a_time() {
    run(async |spawner| {
        let address = serve_raw(&spawner, |_, mut messages| async move {
            loop {
                let request = messages.request().await?;
                for byte in nothing(&request) {
                    messages.write(&[byte]).await?;
                    Timer::after(Duration::from_millis(2)).await;
                }
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        ask_often(&mut client, peer, 5).await;
        assert_eq!(client.ask(peer, get(1)).await, Ok(no_answer(&get(1))));
    });
}

/// What is no answer fails its request, and the next one is answered again.
fn fails(answer: impl Fn(&Request) -> Vec<u8> + 'static) {
    run(async |spawner| {
        let answer = Rc::new(answer);
        let address = serve_raw(&spawner, move |number, mut messages: Messages| {
            let answer = Rc::clone(&answer);
            async move {
                loop {
                    let request = messages.request().await?;
                    match number {
                        0 => messages.write(&answer(&request)).await?,
                        _ => messages.answer(&request).await?,
                    }
                }
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        assert_eq!(client.ask(peer, get(1)).await, Err(Failure::Broken));
        assert_eq!(client.ask(peer, get(2)).await, Ok(no_answer(&get(2))));
    });
}

#[test]
fn junk_is_no_answer() {
    fails(|_| vec![0xff; 100]);
    fails(|_| vec![3, 0xff, 0xff, 0xff]);
    // A length that is longer than it must be, and one that is too long.
    fails(|_| vec![0x82, 0, 8, 1]);
    fails(|_| vec![0x81, 0x80, 4]);
}

#[test]
fn the_answer_to_something_else_is_no_answer() {
    fails(|_| nothing(&find(1)));
    fails(|_| nothing(&Request::Ping));
    fails(|_| nothing(&Request::PutValue(value(1))));
    fails(|_| {
        let found = Response::Found { value: Some(value(9)), closer: vec![].into() };
        super::super::codec::encode_response(&found, super::super::codec::Asked::of(&get(1)))
    });
}

#[test]
fn what_comes_after_an_answer_ends_its_stream() {
    run(async |spawner| {
        let address = serve_raw(&spawner, |number, mut messages| async move {
            loop {
                let request = messages.request().await?;
                let mut twice = nothing(&request);
                if number == 0 {
                    // The second would be taken for the answer to the next request.
                    twice.extend(nothing(&request));
                }
                messages.write(&twice).await?;
            }
        })
        .await;
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        ask_often(&mut client, peer, 1).await;
        assert_eq!(client.ask(peer, get(2)).await, Ok(no_answer(&get(2))));
    });
}

#[test]
fn something_else_than_was_put_is_not_kept() {
    for (echo, kept) in [
        (value(1), Some(value(1))),
        (value(2), None),
        (Value { bytes: vec![8; 600].into(), ..value(1) }, None),
    ] {
        run(async |spawner| {
            let server =
                serve(&spawner, Times::DEFAULT, move |_| Some(Response::Kept(Some(echo.clone()))));
            let mut client = Client::new();
            let peer = client.connect(&server.await.address).await;
            let put = Request::PutValue(value(1));
            assert_eq!(client.ask(peer, put.clone()).await, Ok(Response::Kept(kept)));
        });
    }
}

#[test]
fn a_peer_that_does_not_speak_the_protocol_is_known_for_it() {
    run(async |spawner| {
        let mut other = swarm(|_| Behaviour::new(PROTOCOL, DhtMode::Client));
        let address = listen(&mut other).await;
        drive(&spawner, other);
        let mut client = Client::new();
        let peer = client.connect(&address).await;
        assert_eq!(client.ask(peer, find(1)).await, Err(Failure::Unsupported));
        for number in 0..50 {
            client.begin(peer, find(number));
        }
        for _ in 0..50 {
            assert_eq!(client.ended().await.1, Err(Failure::Unsupported));
        }
    });
}
