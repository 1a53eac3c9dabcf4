//! Connections on which nobody says anything, for one reason or another.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

/// A byte stream that counts what is written to it.
struct Counted<C> {
    io: C,
    written: Arc<AtomicUsize>,
}

impl<C: AsyncRead + Unpin> AsyncRead for Counted<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Counted<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.written.fetch_add(written, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

fn counted_stack(config: &TransportConfig, written: &Arc<AtomicUsize>) -> BoxedTransport {
    let written = Arc::clone(written);
    let tcp =
        tcp::Transport::default().map(move |io, _| Counted { io, written: Arc::clone(&written) });
    upgraded(tcp, &Keypair::generate_ed25519(), config, &Limits::new()).unwrap()
}

/// Lets both ends move for so long. Neither has anything to say.
async fn idle(here: &mut StreamMuxerBox, there: &mut StreamMuxerBox, time: Duration) {
    let both = select(Box::pin(drive(here)), Box::pin(drive(there)));
    if let Either::Left((ended, _)) = select(both, Timer::after(time)).await {
        panic!("a connection ended: {}", ended.factor_first().0);
    }
}

#[test]
fn a_peer_that_stands_still_is_given_up_by_either_end_and_the_reason_says_so() {
    run(async {
        for still in ["dialer", "listener"] {
            let brief = Duration::from_millis(100);
            let config = TransportConfig::new().with_ping_interval(brief).with_ping_timeout(brief);
            let (dialer, listener) = connected_by(tcp_stack(&config), tcp_stack(&config)).await;
            // Nobody polls the other end any more; its socket is open, and acknowledges.
            let (mut here, _still) =
                if still == "dialer" { (listener, dialer) } else { (dialer, listener) };
            let start = Instant::now();
            let error = drive(&mut here).await.to_string();
            assert!(error.contains("did not answer a ping"), "{still}: {error}");
            assert!(start.elapsed() >= brief, "too early: {:?}", start.elapsed());
        }
    });
}

#[test]
fn idle_peers_stay_connected_and_one_round_trip_an_interval_is_all_that_it_takes() {
    /// A frame of yamux, what encryption adds to it, and both ways.
    const ROUND_TRIP: usize = 2 * (12 + 18);
    run(async {
        let interval = Duration::from_millis(200);
        let config = TransportConfig::new().with_ping_interval(interval);
        let written = Arc::default();
        let stack = || counted_stack(&config, &written);
        let (mut here, mut there) = connected_by(stack(), stack()).await;
        // What the streams before have left to say.
        idle(&mut here, &mut there, Duration::from_millis(150)).await;

        let (before, start) = (written.load(Ordering::Relaxed), Instant::now());
        idle(&mut here, &mut there, Duration::from_millis(1900)).await;
        let bytes = written.load(Ordering::Relaxed) - before;
        let intervals = start.elapsed().as_secs_f64() / interval.as_secs_f64();
        let most = (intervals.ceil() as usize + 1) * ROUND_TRIP;
        assert!((ROUND_TRIP..=most).contains(&bytes), "{bytes} bytes in {intervals:.1} intervals");

        let default = TransportConfig::new().ping_interval().as_secs_f64();
        let twenty = |bytes: usize| 20.0 * bytes as f64 / default;
        println!(
            "{bytes} bytes in {intervals:.1} intervals; 20 connections with the defaults: {:.1} bytes a second, \
             encrypted {:.1} at each end, {:.1} in all",
            twenty(2 * 12),
            twenty(ROUND_TRIP / 2),
            twenty(ROUND_TRIP)
        );
        assert!(twenty(2 * 12) < 20.0);
    });
}

/// The windows of streams grow by the time that a round trip takes.
#[test]
fn a_long_transfer_is_not_slowed_down_by_an_idle_hour_before_it() {
    run(async {
        let config = TransportConfig::new().with_ping_interval(Duration::from_millis(50));
        let (mut here, mut there) = connected_by(tcp_stack(&config), tcp_stack(&config)).await;
        idle(&mut here, &mut there, Duration::from_millis(300)).await;
        let message = vec![7; 3_000_000];
        let mut sent = open(&mut here).await.unwrap();
        let send = while_driving(&mut here, async {
            sent.write_all(&message).await.unwrap();
            sent.close().await.unwrap();
            sent.read_to_end(&mut Vec::new()).await.unwrap();
        });
        let receive = async {
            let mut stream = take(&mut there).await.unwrap();
            while_driving(&mut there, async {
                let mut received = Vec::new();
                stream.read_to_end(&mut received).await.unwrap();
                assert!(received == message);
                stream.close().await.unwrap();
            })
            .await;
            // The end of the stream is still to be sent.
            let _ = drive(&mut there).now_or_never();
        };
        join(send, receive).await;
    });
}
