//! The stack between a socket and the protocols: authenticated, multiplexed, and bounded in time.
//!
//! A connection is upgraded in the order of the [libp2p connection] specification: [noise] proves who the
//! peer is and encrypts, [yamux] divides what is left into streams. Both are negotiated with
//! [multistream-select], the dialer's half of it lazily: it sends its only proposal together with the
//! first handshake message, which saves a round trip each.
//!
//! Everything a stranger can do before it has proved who it is happens within
//! [`upgrade_timeout`](TransportConfig::with_upgrade_timeout): a peer that connects and then says nothing
//! costs a socket for seconds, not for ever. The limits use the real clock.
//!
//! # Peers that are gone
//!
//! A peer that ends says so, or its operating system does. One that lost power, or its network, says nothing any more, and
//! neither does a process that stands still. Two things notice them, whatever the protocols above are about:
//!
//! - The operating system, if it [can](tcp::Config::with_host_timeout), probes an idle connection without a byte of
//!   payload, and ends one on which data goes unacknowledged. It notices hosts that are gone.
//! - A ping ([`with_ping_interval`](TransportConfig::with_ping_interval)) goes to a peer from which nothing has come for a
//!   while. It notices processes that stand still, whose host acknowledges all the same, and works on any transport.
//!
//! A ping is a yamux frame of 12 bytes, and so is its answer; one round trip serves both ends. With the defaults both
//! know within 30 s, and 20 idle connections carry 19.2 bytes a second for it in all. Encryption puts each frame into a
//! message of 30 bytes: that makes 24 bytes a second at each end.
//!
//! # Peers that send without end
//!
//! A socket is read in turns of at most 32 KiB and 64 reads, whether its peer is known or not, and a connection in turns of
//! at most 64 frames and 64 KiB, however much has come. Everybody else has a turn in between.
//!
//! Frames of less than 64 bytes are rationed: 32,000 a second over time and 640,000 at once. A stream that begins takes six
//! of these, and one that is reset eight, whatever comes with it; pings are limited to 50 a second and 1,000 at once. All of it grows in proportion where
//! a peer may make more than 4,000 requests a second or 16,000 at once ([`Limits::requests_per_second`],
//! [`Limits::request_burst`]). A peer that is ahead of its ration by a sixteenth of a second is read slowly, with half a
//! millisecond between two turns, and the connection of one that has used it up is ended. Whoever does nothing but make
//! requests is cut off for those before. Encrypted messages with nothing in them end the connection after 128 KiB.
//!
//! # Whose traits these are
//!
//! A transport is what `libp2p` 0.57 says: the trait [`Transport`] with its addresses, listeners and
//! upgrades, which this crate re-exports nothing of but [`Multiaddr`](crate::Multiaddr), [`PeerId`] and
//! [`identity`](crate::identity). [`BoxedTransport`] and [`tcp::Transport`] are such transports, and
//! [`upgraded`] takes any. They are not hidden behind types of this crate, for a reason: whoever brings a
//! transport wraps another one, takes streams of a third, or maps what comes out, and does so with the adapters of that
//! trait. A type of our own would have to implement the same trait to be of use, and would tie the two versions together
//! all the same. So an application that brings its own transport depends on the same `libp2p`; with another one it does
//! not compile. A new `libp2p` whose traits differ is a new major version of this crate. Who only uses TCP, or
//! [`memory`](memory()), meets none of this.
//!
//! [libp2p connection]: https://github.com/libp2p/specs/blob/master/connections/README.md
//! [noise]: https://github.com/libp2p/specs/blob/master/noise/README.md
//! [yamux]: https://github.com/libp2p/specs/blob/master/yamux/README.md
//! [multistream-select]: https://github.com/multiformats/multistream-select

mod appetite;
mod authentication;
mod frame;
mod line;
mod liveness;
mod muxer;
#[cfg(test)]
mod tests;
mod turns;

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, MemoryTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    identity::Keypair,
    noise,
};

use self::{authentication::Authentication, turns::Turns};
use super::{Resolved, tcp};
use crate::{
    config::Limits,
    error::{Error, Result},
};

pub use crate::config::TransportConfig;

/// What a `Swarm` runs on: connections with a known peer, divided into streams. The type is `libp2p`'s own; see
/// [the module](self#whose-traits-these-are) for which version, and why.
pub type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// The stack over TCP, with [names](super::dns) in addresses if this crate has the feature `dns`. Of the limits, those on
/// streams hold here: [`Limits::streams_per_connection`] and [`Limits::receive_window`].
///
/// # Errors
///
/// [`Error::Transport`] if the key cannot sign, which no key that has its private half does.
pub fn tcp(keypair: &Keypair, config: &TransportConfig, limits: &Limits) -> Result<BoxedTransport> {
    telling(keypair, config, limits, &Resolved::default())
}

/// The same, which tells where names have led.
pub(crate) fn telling(
    keypair: &Keypair,
    config: &TransportConfig,
    limits: &Limits,
    resolved: &Resolved,
) -> Result<BoxedTransport> {
    let tcp = tcp::Transport::new(config.tcp().clone());
    let tcp = upgraded(tcp, keypair, config, limits)?;
    #[cfg(feature = "dns")]
    let tcp = {
        let (local, dns) = (keypair.public().to_peer_id(), config.dns().clone());
        super::dns::Transport::telling(tcp, local, dns, resolved.clone()).boxed()
    };
    #[cfg(not(feature = "dns"))]
    let _ = resolved;
    Ok(tcp)
}

/// The stack over channels within the process (`/memory/<port>`), for tests and simulations: the
/// handshakes are real, only the socket is not.
///
/// A port outlives the transport unless its listener is removed, and ports are the process's, not the
/// transport's: let the transport choose one, by listening on port 0.
///
/// # Errors
///
/// As for [`tcp`](tcp()).
pub fn memory(
    keypair: &Keypair,
    config: &TransportConfig,
    limits: &Limits,
) -> Result<BoxedTransport> {
    upgraded(MemoryTransport::new(), keypair, config, limits)
}

/// The stack over any transport of byte streams, such as one that resolves names first.
///
/// # Errors
///
/// As for [`tcp`](tcp()).
pub fn upgraded<T>(
    transport: T,
    keypair: &Keypair,
    config: &TransportConfig,
    limits: &Limits,
) -> Result<BoxedTransport>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    // Two limits for a dial, because waiting for a host that is not there and waiting for one that is
    // slow are different things: the inner one ends the first early, the outer one bounds the whole.
    let setup_timeout = config.dial_timeout().saturating_add(config.upgrade_timeout());
    let authentication = noise::Config::new(keypair)
        .map_err(|error| Error::Transport { reason: error.to_string() })?;
    let transport = TransportTimeout::with_outgoing_timeout(transport, config.dial_timeout());
    Ok(transport
        .map(|socket, _| Turns::new(socket))
        .upgrade(Version::V1Lazy)
        .authenticate(Authentication::new(authentication))
        .multiplex(muxer::Upgrade::new(config, limits))
        .outbound_timeout(setup_timeout)
        .inbound_timeout(config.upgrade_timeout())
        .boxed())
}
