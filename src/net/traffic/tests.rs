use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    channel::oneshot,
    executor::block_on,
    future::{Either, join, select},
};
use libp2p::{
    PeerId,
    core::{
        Endpoint,
        muxing::StreamMuxerExt as _,
        transport::{DialOpts, ListenerId, PortUse},
    },
    identity::Keypair,
};
use proptest::prelude::*;

use super::*;
use crate::{
    config::Limits,
    net::transport::{self, TransportConfig},
};

const KAD: &[u8] = b"\x13/multistream/1.0.0\n\x18/peerage/main/kad/1.0.0\n";
const EXCHANGE: &[u8] = b"\x13/multistream/1.0.0\n\x1d/peerage/main/exchange/1.0.0\n";

fn traffic() -> Arc<Traffic> {
    Arc::new(Traffic::new(&NetworkName::default()).unwrap())
}

fn carried(messages: [u64; 2], bytes: [usize; 2]) -> ProtocolCounters {
    let [messages_in, messages_out] = messages;
    let [bytes_in, bytes_out] = bytes.map(|bytes| bytes as u64);
    let mut counters = ProtocolCounters::default();
    (counters.messages_in, counters.messages_out) = (messages_in, messages_out);
    (counters.bytes_in, counters.bytes_out) = (bytes_in, bytes_out);
    counters
}

/// A stream that takes so many bytes at a time, and has this to be read.
struct Slow {
    takes: usize,
    taken: Vec<u8>,
    has: Vec<u8>,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.takes.min(buf.len()).min(self.has.len());
        let rest = self.has.split_off(most);
        buf[..most].copy_from_slice(&self.has);
        self.has = rest;
        Poll::Ready(Ok(most))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.takes.min(buf.len());
        self.taken.extend(&buf[..most]);
        Poll::Ready(Ok(most))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn stream(traffic: &Arc<Traffic>, own: End, takes: usize, has: &[u8]) -> Metered<Slow> {
    let io = Slow { takes, taken: Vec::new(), has: has.to_vec() };
    Metered { io, meter: Meter::new(Arc::clone(traffic), own) }
}

#[test]
fn only_what_a_stream_takes_is_counted_and_all_of_what_it_gives() {
    for takes in [1, 3, 7, 1000] {
        let traffic = traffic();
        let said = [KAD, &[2, 8, 1], &[3, 8, 1, 0]].concat();
        let answer = [KAD, &[2, 8, 1]].concat();
        let mut stream = stream(&traffic, End::Opener, takes, &answer);
        block_on(async {
            stream.write_all(&said).await.unwrap();
            stream.close().await.unwrap();
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.unwrap();
            assert_eq!((&read, &stream.io.taken), (&answer, &said), "nothing is changed");
        });
        let counted = traffic.read();
        assert_eq!(counted.dht, carried([1, 2], [answer.len(), said.len()]), "{takes} at a time");
        assert_eq!(counted.total(), counted.dht);
    }
}

#[test]
fn what_comes_before_the_name_of_the_protocol_is_counted_with_it_and_else_with_the_others() {
    let traffic = traffic();
    let mut answered = stream(&traffic, End::Answerer, 1000, EXCHANGE);
    block_on(answered.write_all(b"\x13/multistream/1.0.0\n")).unwrap();
    assert_eq!(traffic.read(), TrafficCounters::default(), "nobody knows yet what it is for");
    block_on(answered.read_exact(&mut vec![0; EXCHANGE.len()])).unwrap();
    assert_eq!(traffic.read().exchange, carried([0, 0], [EXCHANGE.len(), 20]));
    drop(answered);

    let mut silent = stream(&traffic, End::Answerer, 1000, &EXCHANGE[..30]);
    block_on(silent.read_exact(&mut [0; 30])).unwrap();
    assert_eq!(traffic.read().other, ProtocolCounters::default());
    drop(silent);
    assert_eq!(traffic.read().other, carried([0, 0], [30, 0]));
}

#[test]
fn a_question_and_its_answer_count_when_they_have_come_to_their_end() {
    let traffic = traffic();
    let answer = [EXCHANGE, b"answer"].concat();
    let mut asked = stream(&traffic, End::Opener, 1000, &answer);
    block_on(async {
        asked.write_all(&[EXCHANGE, b"question"].concat()).await.unwrap();
        assert_eq!(traffic.read().exchange.messages_out, 0);
        asked.close().await.unwrap();
        asked.close().await.unwrap();
        let mut buf = [0; 1000];
        assert_eq!(asked.read(&mut buf).await.unwrap(), answer.len());
        assert_eq!(asked.read(&mut []).await.unwrap(), 0, "this is not the end");
        assert_eq!(traffic.read().exchange.messages_in, 0);
        assert_eq!(asked.read(&mut buf).await.unwrap(), 0);
        assert_eq!(asked.read(&mut buf).await.unwrap(), 0);
    });
    assert_eq!(traffic.read().exchange, carried([1, 1], [answer.len(), answer.len() + 2]));
}

proptest! {
    #[test]
    fn whatever_a_stream_carries_every_byte_is_counted_once(
        opened in any::<bool>(),
        named in any::<bool>(),
        said in prop::collection::vec(any::<u8>(), 0..400),
        heard in prop::collection::vec(any::<u8>(), 0..400),
        takes in 1_usize..50,
    ) {
        let traffic = traffic();
        let own = if opened { End::Opener } else { End::Answerer };
        let begin = if named { KAD } else { &[] };
        let (said, heard) = ([begin, &said[..]].concat(), [begin, &heard[..]].concat());
        let mut stream = stream(&traffic, own, takes, &heard);
        block_on(async {
            stream.write_all(&said).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            stream.close().await.unwrap();
        });
        drop(stream);
        let counted = traffic.read().total();
        prop_assert_eq!(counted.bytes_out, said.len() as u64);
        prop_assert_eq!(counted.bytes_in, heard.len() as u64);
    }
}

/// A metered transport within this process, and who it speaks for.
fn metered_memory(traffic: &Arc<Traffic>) -> (BoxedTransport, PeerId) {
    let keypair = Keypair::generate_ed25519();
    let transport = transport::memory(&keypair, &TransportConfig::new(), &Limits::new()).unwrap();
    (metered(transport, Arc::clone(traffic)), keypair.public().to_peer_id())
}

/// Lets a connection move while something else goes on.
async fn while_moving<T>(muxer: &mut StreamMuxerBox, rest: impl Future<Output = T>) -> T {
    let moving = poll_fn(|cx| muxer.poll_unpin(cx).map(drop));
    match select(pin!(rest), moving).await {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("the connection ended"),
    }
}

#[test]
fn what_one_node_sends_on_a_connection_the_other_receives_and_both_know_who_it_was() {
    let [here, there] = [(); 2].map(|()| traffic());
    let (mut listening, listener) = metered_memory(&there);
    let (mut dialing, dialer) = metered_memory(&here);
    let said = [KAD, &[3, 8, 1, 0]].concat();
    block_on(async {
        listening.listen_on(ListenerId::next(), "/memory/0".parse().unwrap()).unwrap();
        let event = poll_fn(|cx| Pin::new(&mut listening).poll(cx)).await;
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
        let dial = dialing.dial(event.into_new_address().unwrap(), options).unwrap();
        let (heard, has_heard) = oneshot::channel();
        let say = async {
            let (peer, mut muxer) = dial.await.unwrap();
            let mut stream = poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.unwrap();
            stream.write_all(&said).await.unwrap();
            while_moving(&mut muxer, has_heard).await.unwrap();
            peer
        };
        let hear = async {
            let event = poll_fn(|cx| Pin::new(&mut listening).poll(cx)).await;
            let (peer, mut muxer) = event.into_incoming().unwrap().0.await.unwrap();
            let mut stream = poll_fn(|cx| {
                assert!(muxer.poll_unpin(cx).is_pending());
                muxer.poll_inbound_unpin(cx)
            });
            let mut stream = (&mut stream).await.unwrap();
            let mut read = vec![0; said.len()];
            while_moving(&mut muxer, stream.read_exact(&mut read)).await.unwrap();
            assert_eq!(read, said);
            heard.send(()).unwrap();
            peer
        };
        assert_eq!(join(say, hear).await, (listener, dialer));
    });
    assert_eq!(here.read().dht, carried([0, 1], [0, said.len()]));
    assert_eq!(there.read().dht, carried([1, 0], [said.len(), 0]));
}
