//! What a caller may choose about TCP sockets.

use std::{num::NonZeroU8, time::Duration};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a [host timeout](Config::with_host_timeout) may be. Operating systems count in whole seconds, of which there are
/// three parts: until the first probe, between two probes, and for answers to come.
const HOST_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(24 * 60 * 60);

/// Options for every socket of a [`Transport`](crate::net::tcp::Transport).
///
/// ```
/// use peerage::net::tcp;
///
/// let config = tcp::Config::new().with_port_reuse(false).with_listen_backlog(64);
/// assert!(config.nodelay());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    nodelay: bool,
    ttl: Option<NonZeroU8>,
    listen_backlog: u32,
    port_reuse: bool,
    #[serde(with = "humantime_serde")]
    host_timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodelay: true,
            ttl: None,
            listen_backlog: 1024,
            port_reuse: true,
            host_timeout: Some(Duration::from_secs(25)),
        }
    }
}

impl Config {
    /// The defaults, as each setter documents them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether small writes leave at once (`TCP_NODELAY`) instead of waiting for an acknowledgement of
    /// earlier ones ([RFC 896]). Default: `true`, because the protocols above are short questions and
    /// answers which are written whole, and a multiplexer batches what it can.
    ///
    /// [RFC 896]: https://www.rfc-editor.org/rfc/rfc896
    #[must_use]
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// The number of hops after which a packet is discarded (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    /// Default: `None`, which leaves the operating system's choice.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<NonZeroU8>) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many finished handshakes may wait to be accepted by one listener. Default: 1024. The
    /// operating system may lower it (`net.core.somaxconn`) or round it.
    #[must_use]
    pub fn with_listen_backlog(mut self, backlog: u32) -> Self {
        self.listen_backlog = backlog;
        self
    }

    /// Whether a dial that asks for [`PortUse::Reuse`](libp2p::core::transport::PortUse) may leave from
    /// a listening port. Default: `true`. It has an effect only where the operating system has
    /// `SO_REUSEPORT`; everywhere else each dial leaves from a new port.
    #[must_use]
    pub fn with_port_reuse(mut self, port_reuse: bool) -> Self {
        self.port_reuse = port_reuse;
        self
    }

    /// For how long a peer's host may leave everything unacknowledged before the operating system ends the connection: data
    /// (`TCP_USER_TIMEOUT`, of Linux, Android and a few more; [RFC 5482]), and on an idle connection probes
    /// (`SO_KEEPALIVE`; [RFC 9293 section 3.8.4]), which carry no payload. The first probe goes out after three fifths of
    /// this time without anything, the next ones a fifth apart. On Linux a peer whose process reads nothing for so long, while
    /// there is data for it, counts as gone as well. Default: 25 s; 5 s to one day. `None` leaves it to the
    /// system, which commonly takes 15 minutes for data and never probes.
    ///
    /// [RFC 5482]: https://www.rfc-editor.org/rfc/rfc5482
    /// [RFC 9293 section 3.8.4]: https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
    #[must_use]
    pub fn with_host_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.host_timeout =
            timeout.map(|timeout| timeout.clamp(*HOST_TIMEOUTS.start(), *HOST_TIMEOUTS.end()));
        self
    }

    /// Checks what was read from a file; the setters keep to the bounds by themselves.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.host_timeout.is_some_and(|timeout| !HOST_TIMEOUTS.contains(&timeout)) {
            let reason = "must be from five seconds to a day";
            return Err(Error::invalid("transport.tcp.host_timeout", reason));
        }
        Ok(())
    }

    /// See [`with_host_timeout`](Self::with_host_timeout).
    #[must_use]
    pub fn host_timeout(&self) -> Option<Duration> {
        self.host_timeout
    }

    /// See [`with_nodelay`](Self::with_nodelay).
    #[must_use]
    pub fn nodelay(&self) -> bool {
        self.nodelay
    }

    /// See [`with_ttl`](Self::with_ttl).
    #[must_use]
    pub fn ttl(&self) -> Option<NonZeroU8> {
        self.ttl
    }

    /// See [`with_listen_backlog`](Self::with_listen_backlog).
    #[must_use]
    pub fn listen_backlog(&self) -> u32 {
        self.listen_backlog
    }

    /// See [`with_port_reuse`](Self::with_port_reuse).
    #[must_use]
    pub fn port_reuse(&self) -> bool {
        self.port_reuse
    }
}
