//! What a caller may choose about names in addresses.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Servers that may be configured. More than a few are never asked.
const MAX_SERVERS: usize = 8;
/// How long one question may be set to wait for its answer.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(30);
/// How often one question may be set to be asked.
const ATTEMPTS: std::ops::RangeInclusive<u8> = 1..=5;

/// Who is asked for the names in addresses (`/dns4/example.org/tcp/4001`), and how patiently. Without the feature `dns`
/// nothing reads it.
///
/// ```
/// use std::time::Duration;
/// use peerage::DnsConfig;
///
/// // For a phone, where no file names the servers.
/// let config = DnsConfig::new()
///     .with_servers(["9.9.9.9:53".parse()?, "[2620:fe::fe]:53".parse()?])
///     .with_timeout(Duration::from_secs(2));
/// assert_eq!(config.servers().len(), 2);
/// # Ok::<_, std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    servers: Vec<SocketAddr>,
    #[serde(with = "humantime_serde")]
    timeout: Duration,
    attempts: u8,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(3), attempts: 2 }
    }
}

impl DnsConfig {
    /// The defaults, as each setter documents them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The servers to ask, over UDP, and over TCP where an answer does not fit. At most 8; the first ones count.
    /// Default: none, which stands for those of the operating system (`/etc/resolv.conf`, or what Windows and macOS have
    /// instead), as they are at the time of a dial. Android tells a library of none: name some there. Where there are
    /// neither, a dial to a name fails and says so.
    #[must_use]
    pub fn with_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.servers = servers.into_iter().take(MAX_SERVERS).collect();
        self
    }

    /// How long the answer to a question may take, from whichever server. It holds for the servers of the operating system
    /// as well. Default: 3 s; 100 ms to 30 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(*TIMEOUTS.start(), *TIMEOUTS.end());
        self
    }

    /// How often a question is asked before it counts as unanswered, each time for the [timeout](Self::with_timeout).
    /// Default: 2; 1 to 5.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u8) -> Self {
        self.attempts = attempts.clamp(*ATTEMPTS.start(), *ATTEMPTS.end());
        self
    }

    /// See [`with_servers`](Self::with_servers).
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// See [`with_timeout`](Self::with_timeout).
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// See [`with_attempts`](Self::with_attempts).
    #[must_use]
    pub fn attempts(&self) -> u8 {
        self.attempts
    }

    /// Checks what was read from a file, and that servers can be asked; other setters keep to the bounds by themselves.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.servers.len() > MAX_SERVERS {
            return Err(Error::invalid("transport.dns.servers", "must be at most 8"));
        }
        if self.servers.iter().any(|server| server.port() == 0 || server.ip().is_unspecified()) {
            let reason = "must each have an address and a port, such as `9.9.9.9:53`";
            return Err(Error::invalid("transport.dns.servers", reason));
        }
        if !TIMEOUTS.contains(&self.timeout) {
            let reason = "must be from 100 milliseconds to 30 seconds";
            return Err(Error::invalid("transport.dns.timeout", reason));
        }
        if !ATTEMPTS.contains(&self.attempts) {
            return Err(Error::invalid("transport.dns.attempts", "must be from 1 to 5"));
        }
        Ok(())
    }
}
