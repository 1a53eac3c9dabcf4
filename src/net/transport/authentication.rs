//! noise, with peers that have something to say.
//!
//! A message of noise may be empty. It costs a decryption all the same, and whoever reads the other end of it never hears
//! of it. So what comes in is measured on both sides of the encryption.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::{
    FutureExt as _, TryFutureExt as _,
    future::BoxFuture,
    io::{AsyncRead, AsyncWrite},
};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    noise,
};

use super::turns::write_through;

/// How much may come before something is in it. The largest message has 64 KiB, and the handshake is far below that.
const MAX_UNOPENED: usize = 128 * 1024;

/// The peer sends messages for the sake of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer floods the connection with empty messages")]
struct Flood;

/// Proves to both ends who the other one is, and encrypts.
#[derive(Clone)]
pub(super) struct Authentication(noise::Config);

impl Authentication {
    pub(super) fn new(noise: noise::Config) -> Self {
        Self(noise)
    }
}

impl UpgradeInfo for Authentication {
    type Info = <noise::Config as UpgradeInfo>::Info;
    type InfoIter = <noise::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

type Secured<C> = Opened<noise::Output<Sealed<C>>>;

/// A handshake that is under way.
type Handshake<C> = BoxFuture<'static, Result<(PeerId, Secured<C>), noise::Error>>;

/// Makes a handshake over a byte stream, and measures what is on either side of it.
fn measured<C, H>(io: C, handshake: impl FnOnce(Sealed<C>) -> H) -> Handshake<C>
where
    H: Future<Output = Result<(PeerId, noise::Output<Sealed<C>>), noise::Error>> + Send + 'static,
{
    let unopened = Unopened::default();
    let opened = handshake(Sealed { io, unopened: Arc::clone(&unopened) });
    opened.map_ok(|(peer, io)| (peer, Opened { io, unopened })).boxed()
}

impl<C> InboundConnectionUpgrade<C> for Authentication
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Secured<C>);
    type Error = noise::Error;
    type Future = Handshake<C>;

    fn upgrade_inbound(self, io: C, info: Self::Info) -> Self::Future {
        measured(io, |io| self.0.upgrade_inbound(io, info))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Authentication
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Secured<C>);
    type Error = noise::Error;
    type Future = Handshake<C>;

    fn upgrade_outbound(self, io: C, info: Self::Info) -> Self::Future {
        measured(io, |io| self.0.upgrade_outbound(io, info))
    }
}

/// What was read since something was last opened, in bytes.
type Unopened = Arc<AtomicUsize>;

/// The encrypted side.
#[derive(Debug)]
pub(super) struct Sealed<C> {
    io: C,
    unopened: Unopened,
}

/// The side in the clear.
#[derive(Debug)]
pub(super) struct Opened<C> {
    io: C,
    unopened: Unopened,
}

impl<C: AsyncRead + Unpin> AsyncRead for Sealed<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Poll::Ready(Ok(read)) = polled
            && self.unopened.fetch_add(read, Ordering::Relaxed) > MAX_UNOPENED
        {
            return Poll::Ready(Err(io::Error::other(Flood)));
        }
        polled
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Opened<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Poll::Ready(Ok(1..)) = polled {
            self.unopened.store(0, Ordering::Relaxed);
        }
        polled
    }
}

write_through!(Sealed);
write_through!(Opened);

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt as _, executor::block_on};

    use super::{super::tests::endless::Endless, *};

    #[test]
    fn messages_with_nothing_in_them_end_the_connection() {
        let mut sealed = Sealed { io: Endless::new(vec![7]), unopened: Unopened::default() };
        let mut buf = [0; 1024];
        let error = block_on(async {
            loop {
                if let Err(error) = sealed.read_exact(&mut buf).await {
                    break error;
                }
            }
        });
        assert_eq!(error.to_string(), "the peer floods the connection with empty messages");
    }

    #[test]
    fn whoever_says_something_now_and_then_may_say_as_much_as_it_likes() {
        let unopened = Unopened::default();
        let mut sealed = Sealed { io: Endless::new(vec![7]), unopened: Arc::clone(&unopened) };
        let mut opened = Opened { io: Endless::new(vec![7]), unopened };
        block_on(async {
            let mut buf = vec![0; 65_537];
            for _ in 0..100 {
                sealed.read_exact(&mut buf).await.unwrap();
                opened.read_exact(&mut [0]).await.unwrap();
            }
        });
    }
}
