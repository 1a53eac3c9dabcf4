//! How connections are set up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DnsConfig, tcp};
use crate::error::{Error, Result};

/// No limit is longer than a day: a connection that takes longer is not one, and the clock can still add
/// it to the current time.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How connections are set up.
///
/// ```
/// use std::time::Duration;
/// use peerage::net::transport::TransportConfig;
///
/// let config = TransportConfig::new().with_dial_timeout(Duration::from_secs(3));
/// assert_eq!(config.dial_timeout(), Duration::from_secs(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportConfig {
    #[serde(with = "humantime_serde")]
    dial_timeout: Duration,
    #[serde(with = "humantime_serde")]
    upgrade_timeout: Duration,
    #[serde(with = "humantime_serde")]
    ping_interval: Duration,
    #[serde(with = "humantime_serde")]
    ping_timeout: Duration,
    tcp: tcp::Config,
    dns: DnsConfig,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(4),
            tcp: tcp::Config::default(),
            dns: DnsConfig::default(),
        }
    }
}

impl TransportConfig {
    /// The defaults, as each setter documents them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a dial may wait for the peer's host to answer. Default: 10 s; at most one day.
    #[must_use]
    pub fn with_dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// How long authenticating and multiplexing a connection may take, from when the peer's host has
    /// answered or dialed. For a dial it is added to the [dial timeout](Self::with_dial_timeout), and
    /// what that leaves over counts as well. Default: 10 s; at most one day.
    #[must_use]
    pub fn with_upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// How long nothing may come from a peer before it is asked whether it lives. Whatever it sends counts, so that a
    /// connection with traffic is never asked. The end that has dialed asks up to a fifth of this earlier, several peers
    /// at a time. The one that was dialed waits an eighth of the [timeout](Self::with_ping_timeout) longer: it will have
    /// been asked itself by then. Default: 25 s; at most one day.
    #[must_use]
    pub fn with_ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval.min(MAX_TIMEOUT);
        self
    }

    /// How long a peer that was asked may take to send something, be it the answer. Its connection is ended otherwise.
    /// Default: 4 s; at most one day.
    #[must_use]
    pub fn with_ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// The options of TCP sockets.
    #[must_use]
    pub fn with_tcp(mut self, tcp: tcp::Config) -> Self {
        self.tcp = tcp;
        self
    }

    /// Who is asked for the names in addresses, and how patiently.
    #[must_use]
    pub fn with_dns(mut self, dns: DnsConfig) -> Self {
        self.dns = dns;
        self
    }

    /// Short for [`tcp::Config::with_nodelay`]. Default: `true`.
    #[must_use]
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.tcp = self.tcp.with_nodelay(nodelay);
        self
    }

    /// See [`with_dial_timeout`](Self::with_dial_timeout).
    #[must_use]
    pub fn dial_timeout(&self) -> Duration {
        self.dial_timeout
    }

    /// See [`with_upgrade_timeout`](Self::with_upgrade_timeout).
    #[must_use]
    pub fn upgrade_timeout(&self) -> Duration {
        self.upgrade_timeout
    }

    /// See [`with_ping_interval`](Self::with_ping_interval).
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        self.ping_interval
    }

    /// See [`with_ping_timeout`](Self::with_ping_timeout).
    #[must_use]
    pub fn ping_timeout(&self) -> Duration {
        self.ping_timeout
    }

    /// Checks what was read from a file; the setters keep to the bounds by themselves.
    pub(crate) fn validate(&self) -> Result<()> {
        for (field, timeout) in [
            ("transport.dial_timeout", self.dial_timeout),
            ("transport.upgrade_timeout", self.upgrade_timeout),
            ("transport.ping_interval", self.ping_interval),
            ("transport.ping_timeout", self.ping_timeout),
        ] {
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                return Err(Error::invalid(field, "must be more than nothing and at most a day"));
            }
        }
        self.tcp.validate()?;
        self.dns.validate()
    }

    /// See [`with_tcp`](Self::with_tcp).
    #[must_use]
    pub fn tcp(&self) -> &tcp::Config {
        &self.tcp
    }

    /// See [`with_dns`](Self::with_dns).
    #[must_use]
    pub fn dns(&self) -> &DnsConfig {
        &self.dns
    }
}
