//! A transport on which nothing ever happens: every dial hangs. It counts how often it is polled, and can be made
//! to report something at each poll, without end.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::future::Pending;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Stalled {
    polls: Arc<AtomicUsize>,
    talkative: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Stalled {
    /// How often the network has been polled, as seen from below.
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    /// From now on, there is always something to report, or no longer.
    pub(crate) fn talk(&self, talkative: bool) {
        self.talkative.store(talkative, Ordering::Relaxed);
        if let Some(waker) = self.waker.lock().expect("not poisoned").take() {
            waker.wake();
        }
    }
}

type Connection = (PeerId, StreamMuxerBox);

impl Transport for Stalled {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = Pending<Result<Connection, io::Error>>;
    type Dial = Pending<Result<Connection, io::Error>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, _: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Ok(futures::future::pending())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        if self.talkative.load(Ordering::Relaxed) {
            let (listener_id, error) = (ListenerId::next(), io::Error::other("talk"));
            return Poll::Ready(TransportEvent::ListenerError { listener_id, error });
        }
        *self.waker.lock().expect("not poisoned") = Some(cx.waker().clone());
        Poll::Pending
    }
}
