//! What a stream costs on which nothing happens.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{
    Transport,
    muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
};

use super::{
    super::outbound::MAX_STREAMS,
    raw::{no_answer, serve_raw, streams_to},
    *,
};

/// How often streams have been asked what has come.
type Reads = Arc<AtomicUsize>;

/// A muxer that counts how often its streams are read.
struct Counting<T> {
    inner: T,
    reads: Reads,
}

impl StreamMuxer for Counting<StreamMuxerBox> {
    type Substream = Counting<SubstreamBox>;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let reads = Arc::clone(&self.reads);
        let stream = Pin::new(&mut self.inner).poll_inbound(cx);
        stream.map_ok(|inner| Counting { inner, reads })
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let reads = Arc::clone(&self.reads);
        let stream = Pin::new(&mut self.inner).poll_outbound(cx);
        stream.map_ok(|inner| Counting { inner, reads })
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

impl AsyncRead for Counting<SubstreamBox> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reads.fetch_add(1, Relaxed);
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting<SubstreamBox> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// A node whose streams are counted.
fn counted(mode: DhtMode) -> (Swarm<Behaviour>, Reads) {
    let keypair = Keypair::generate_ed25519();
    let reads = Reads::default();
    let counter = Arc::clone(&reads);
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
    let count = move |(peer, inner), _| {
        let muxer = Counting { inner, reads: Arc::clone(&counter) };
        (peer, StreamMuxerBox::new(muxer))
    };
    let transport = Transport::map(transport, count).boxed();
    let config = swarm::Config::without_executor()
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_idle_connection_timeout(Duration::from_secs(60));
    let peer = keypair.public().to_peer_id();
    (Swarm::new(transport, Behaviour::new(PROTOCOL, mode), peer, config), reads)
}

/// Requests after each other, on as many streams as there may be.
const REQUESTS: u32 = 100;

/// A message comes with two reads, and then one finds nothing. What opens a stream or wakes a connection for another reason
/// is worth another few: the streams at rest would make it sixteen and more for each request.
const READS_AT_MOST: usize = 6;

#[test]
fn streams_that_wait_for_a_request_are_not_read_for_the_sake_of_another() {
    run(async |spawner| {
        let address = serve_raw(&spawner, |_, mut messages| async move {
            loop {
                let request = messages.request().await?;
                messages.answer(&request).await?;
            }
        })
        .await;
        let (swarm, reads) = counted(DhtMode::Client);
        let mut client = Client { swarm, next: 0 };
        let peer = client.connect(&address).await;
        for number in 0..REQUESTS {
            client.begin(peer, find(number));
        }
        for _ in 0..REQUESTS {
            let (_, outcome) = client.ended().await;
            assert_eq!(outcome, Ok(no_answer(&find(0))));
        }
        // All streams are open, and at rest.
        let before = reads.load(Relaxed);
        for number in 0..REQUESTS {
            let answer = client.ask(peer, find(number)).await;
            assert_eq!(answer, Ok(no_answer(&find(number))));
        }
        let each = (reads.load(Relaxed) - before).div_ceil(REQUESTS as usize);
        assert!(each <= READS_AT_MOST, "{each} reads for each request, with {MAX_STREAMS} streams");
    });
}

#[test]
fn streams_on_which_nobody_asks_are_not_read_for_the_sake_of_another() {
    run(async |spawner| {
        let (mut server, reads) = counted(DhtMode::Server);
        let address = listen(&mut server).await;
        let serve = async move {
            loop {
                let event = server.select_next_some().await;
                if let SwarmEvent::Behaviour(Event::Asked { asked, request, .. }) = event {
                    server.behaviour_mut().answer(asked, no_answer(&request));
                }
            }
        };
        spawner.spawn_local(serve).unwrap();
        let mut streams = streams_to(&spawner, &address, MAX_STREAMS).await;
        for stream in &mut streams {
            stream.ask(&find(0)).await.unwrap();
            stream.frame().await.unwrap();
        }
        let before = reads.load(Relaxed);
        let asking = streams.first_mut().unwrap();
        for number in 0..REQUESTS {
            asking.ask(&find(number)).await.unwrap();
            asking.frame().await.unwrap();
        }
        let each = (reads.load(Relaxed) - before).div_ceil(REQUESTS as usize);
        assert!(each <= READS_AT_MOST, "{each} reads for each request, with {MAX_STREAMS} streams");
    });
}
