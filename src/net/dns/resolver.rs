//! Who is asked, and what has come of it, in words.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    Resolver as Hickory,
    config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, NoRecords},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};

use super::{
    places::Places,
    runtime::Runtime,
    search::{Answer, Question, Records},
};
use crate::{config::DnsConfig, net::tasks::Spawner};

/// Answers that are remembered, for as long as they hold. One has at most 64 KiB.
const CACHED: u64 = 64;
/// For how long at most, whatever a server says.
const CACHED_FOR: Duration = Duration::from_secs(60 * 60);
/// The same for what does not exist. Whoever has just written it there does not want to wait.
const ABSENT_FOR: Duration = Duration::from_secs(30);
/// Questions under way at a time, of all dials.
const MAX_AT_ONCE: usize = 64;
/// Servers of the system that are asked.
const MAX_SERVERS: usize = 8;
/// Domains of the system in which a name without its own is looked for.
const MAX_DOMAINS: usize = 6;
/// Aliases from one name to the next within an answer.
const MAX_ALIASES: usize = 8;

/// Asks servers, and remembers what they have answered. Clones are one.
#[derive(Clone)]
pub(super) struct Resolver {
    config: DnsConfig,
    runtime: Runtime,
    read: fn() -> Result<Servers, NetError>,
    current: Arc<Mutex<Option<Current>>>,
    places: Places,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Who is to be asked, as the system says it.
#[derive(Debug)]
struct Servers {
    config: ResolverConfig,
    options: ResolverOpts,
}

/// Who is asked now.
#[derive(Clone)]
struct Current {
    /// What the system has said, as text: its types cannot be compared.
    said: String,
    hickory: Hickory<Runtime>,
}

impl Resolver {
    /// What is to be run in the background goes to `spawner`.
    pub(super) fn new(config: DnsConfig, spawner: Spawner) -> Self {
        Self {
            config,
            runtime: Runtime::new(spawner),
            read: system,
            current: Arc::default(),
            places: Places::new(MAX_AT_ONCE),
        }
    }

    /// Asks, once there is room for another question. Otherwise why there is no answer.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, String> {
        if let Ok(ip) = question.name.parse() {
            return literal(question, ip);
        }
        let _place = self.places.take().await;
        let hickory = self.current().await?;
        let name = name(question)?;
        match hickory.lookup(name, record_type(question.records)).await {
            Ok(lookup) => {
                let answer = read(&lookup, question.records);
                if answer.ips.is_empty() && answer.texts.is_empty() {
                    return Err(lacks(question));
                }
                Ok(answer)
            }
            Err(error) => Err(reason(question, &error)),
        }
    }

    /// Whoever is to be asked as things stand: files are read anew for each question, on a thread for it, and where they
    /// have not changed, what is remembered is kept.
    async fn current(&self) -> Result<Hickory<Runtime>, String> {
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(known), false) = (&known, self.config.servers().is_empty()) {
            return Ok(known.hickory.clone());
        }
        let (config, runtime, read) = (self.config.clone(), self.runtime.clone(), self.read);
        let current = blocking::unblock(move || load(&config, runtime, read, known)).await?;
        let hickory = current.hickory.clone();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
        Ok(hickory)
    }
}

fn load(
    config: &DnsConfig,
    runtime: Runtime,
    read: fn() -> Result<Servers, NetError>,
    known: Option<Current>,
) -> Result<Current, String> {
    let servers = if config.servers().is_empty() {
        read().map_err(|error| {
            format!("no DNS server is configured, and the system names none ({error})")
        })?
    } else {
        configured(config)
    };
    let said = format!("{servers:?}");
    if let Some(known) = known.filter(|known| known.said == said) {
        return Ok(known);
    }
    let (domain, mut search, mut name_servers) = servers.config.into_parts();
    search.truncate(MAX_DOMAINS);
    name_servers.truncate(MAX_SERVERS);
    let servers_config = ResolverConfig::from_parts(domain, search, name_servers);
    let mut builder = Hickory::builder_with_config(servers_config, runtime);
    let options = builder.options_mut();
    *options = servers.options;
    options.timeout = config.timeout();
    // It counts those after the first.
    options.attempts = usize::from(config.attempts().saturating_sub(1));
    options.cache_size = CACHED;
    options.positive_max_ttl = Some(CACHED_FOR);
    options.negative_max_ttl = Some(ABSENT_FOR);
    // This reads the system's file of hosts.
    let hickory = builder.build().map_err(|error| format!("DNS cannot be used: {error}"))?;
    Ok(Current { said, hickory })
}

fn configured(config: &DnsConfig) -> Servers {
    let connection = |protocol, port| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = port;
        connection
    };
    let servers = config.servers().iter().map(|server| {
        let protocols = [ProtocolConfig::Udp, ProtocolConfig::Tcp];
        let connections = protocols.map(|protocol| connection(protocol, server.port()));
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    Servers { config, options: ResolverOpts::default() }
}

/// What the system says. On Android, asking it takes a context that a library does not have.
#[cfg(any(windows, all(unix, not(target_os = "android"))))]
fn system() -> Result<Servers, NetError> {
    let (config, options) = hickory_resolver::system_conf::read_system_conf()?;
    Ok(Servers { config, options })
}

#[cfg(not(any(windows, all(unix, not(target_os = "android")))))]
fn system() -> Result<Servers, NetError> {
    Err(NetError::Message("a library cannot ask it"))
}

/// An address in the place of a name.
fn literal(question: &Question, ip: IpAddr) -> Result<Answer, String> {
    let fits = match question.records {
        Records::V4 { .. } => ip.is_ipv4(),
        Records::V6 { .. } => ip.is_ipv6(),
        Records::Text => false,
    };
    if fits { Ok(Answer { ips: vec![ip], ..Answer::default() }) } else { Err(lacks(question)) }
}

fn name(question: &Question) -> Result<Name, String> {
    let name = match question.records {
        Records::V4 { .. } | Records::V6 { .. } => Name::from_utf8(&question.name),
        // Nobody has a domain of the system in mind here.
        Records::Text => Name::from_utf8(format!("_dnsaddr.{}", question.name)).map(|mut name| {
            name.set_fqdn(true);
            name
        }),
    };
    name.map_err(|error| format!("`{}` is no name for DNS: {error}", question.name))
}

fn record_type(records: Records) -> RecordType {
    match records {
        Records::V4 { .. } => RecordType::A,
        Records::V6 { .. } => RecordType::AAAA,
        Records::Text => RecordType::TXT,
    }
}

/// Takes what belongs to the name, or to what it is an alias of. Whatever else stands in an answer is passed over.
fn read(lookup: &Lookup, records: Records) -> Answer {
    let mut names = vec![lookup.query().name()];
    for _ in 0..MAX_ALIASES {
        let alias = lookup.answers().iter().find_map(|record| match &record.data {
            RData::CNAME(target) if names.last() == Some(&&record.name) => Some(&target.0),
            _ => None,
        });
        match alias {
            Some(target) if !names.contains(&target) => names.push(target),
            Some(_) | None => break,
        }
    }
    let mut answer = Answer::default();
    for record in lookup.answers().iter().filter(|record| names.contains(&&record.name)) {
        match (&record.data, records) {
            (RData::A(ip), Records::V4 { .. }) => answer.ips.push(ip.0.into()),
            (RData::AAAA(ip), Records::V6 { .. }) => answer.ips.push(ip.0.into()),
            // A text of more than 255 bytes comes in pieces.
            (RData::TXT(text), Records::Text) => answer.texts.push(text.txt_data.concat()),
            _ => {}
        }
    }
    answer
}

/// What a name has none of.
fn lacks(question: &Question) -> String {
    let what = match question.records {
        Records::V4 { only: true } => "IPv4 address",
        Records::V6 { only: true } => "IPv6 address",
        Records::V4 { only: false } | Records::V6 { only: false } => "address",
        Records::Text => return format!("{} lists no addresses for /dnsaddr", question.name),
    };
    format!("{} has no {what}", question.name)
}

fn reason(question: &Question, error: &NetError) -> String {
    let name = &question.name;
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
            match (*response_code, question.records) {
                (ResponseCode::NXDomain, Records::V4 { .. } | Records::V6 { .. }) => {
                    format!("{name} does not exist")
                }
                (ResponseCode::NXDomain | ResponseCode::NoError, _) => lacks(question),
                (code, _) => format!("{name}: the DNS server says: {code}"),
            }
        }
        NetError::Dns(DnsError::ResponseCode(code)) => {
            format!("{name}: the DNS server says: {code}")
        }
        NetError::Timeout => format!("{name}: no DNS server answered in time"),
        NetError::Io(error) => format!("{name}: no DNS server can be asked: {error}"),
        NetError::NoConnections => format!("{name}: no DNS server can be asked"),
        NetError::Truncated => format!("{name}: the answer of the DNS server is cut short"),
        NetError::Proto(error) => format!("{name}: the DNS server's answer is not one: {error}"),
        other => format!("{name}: {other}"),
    }
}

#[cfg(test)]
mod tests;
