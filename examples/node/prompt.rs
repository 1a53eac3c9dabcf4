//! The human's form: commands of a few words in, a few readable lines out.

use std::{fmt::Write as _, fs::File, io::Read};

use peerage::{
    Announcement, Event, Freshness, Manifest, Match, NetworkName, Package, PeerId, Query, Receipt,
    Reputation, Result, SearchReport, SimilarName, Sort, Source,
};
use serde_json::Value;

use crate::{
    about,
    data::{self, Found},
    input::{Line, MAX_LINE_BYTES},
    json,
    ops::{
        Answer, Request, invalid, parse_address, parse_name, parse_package, parse_peer,
        parse_required, whom_to_dial,
    },
    peers::{self, direction},
    session::Input,
    undo,
};

pub(crate) const HELP: &str = "commands:
  register FILE [confirm N]    publish the manifest in this JSON file; then, if you like, have it
                               read back from N peers
  get [OWNER/]NAME[@WANTED]    the newest release, or the newest that is wanted: 1.2.3 is that one,
                               ^1.2, ~1.2, 1.*, >=1 <3, latest are ranges; then, if you like, how
                               many replicas are to be heard: first, all, or a number
  versions [OWNER/]NAME        all its releases
  search [WORDS] [#KEYWORD] [owner:PEER] [license:MIT] [version:^1.2] [match:any] [sort:name] [limit:50]
                               packages that this peer and those connected know of: with all the
                               words, or any of them; by relevance, name, or when updated
  yank NAME VERSION [--reason TEXT] | unyank NAME VERSION
                               no longer recommend a release of yours, and say why; take it back
  deprecate NAME [--successor OWNER/NAME] TEXT | undeprecate NAME
                               say that a package of yours should not be used, and what instead
  unregister NAME              withdraw a package of yours, for good
  pin NAME OWNER | unpin NAME  decide whom a bare name means
  dial ADDRESS…                connect to a peer: addresses ending in /p2p/PEER
  bootstrap                    dial the bootstrap addresses, fill the routing table
  peers | reputation PEER      who is connected, what for and since when; a peer's conduct
  subscribe TOPIC | unsubscribe TOPIC | announce TOPIC TEXT
  metadata | info              what this node says of itself, and what it has done so far
  export FILE                  write a snapshot of what it knows; `--import FILE` starts from it
  help | quit
";

/// Reads a command. The line itself is its id, so that an answer can say what it is about.
pub(crate) fn parse(line: Line) -> Option<Input> {
    let text = match line {
        Line::Text(text) => text.trim().to_owned(),
        Line::TooLong => {
            let error = invalid("line", format!("is longer than {MAX_LINE_BYTES} bytes"));
            return Some(Input::Refused { id: Value::Null, error });
        }
        Line::NotUtf8 => {
            let error = invalid("line", "is not UTF-8");
            return Some(Input::Refused { id: Value::Null, error });
        }
    };
    if text.is_empty() {
        return None;
    }
    if matches!(text.as_str(), "help" | "?") {
        return Some(Input::Help);
    }
    let id = Value::String(text.clone());
    Some(match parse_command(&text) {
        Ok(request) => Input::Asked { id, request },
        Err(error) => Input::Refused { id, error },
    })
}

fn parse_command(text: &str) -> Result<Request> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some((&command, arguments)) = words.split_first() else {
        return Err(invalid("command", "is empty; `help` lists the commands"));
    };
    match (command, arguments) {
        // A file name may hold spaces.
        ("register", [_, ..]) => {
            let text = text.strip_prefix("register").unwrap_or_default().trim();
            let (file, confirm) = file_and_confirmation(text);
            Ok(Request::Register { manifest: Box::new(read_manifest(file)?), confirm })
        }
        ("export", [_, ..]) => {
            Ok(Request::Export(text.strip_prefix("export").unwrap_or_default().trim().into()))
        }
        ("get", [_, ..]) => {
            let (wanted, rest) = package_and_rest(arguments);
            let freshness = match rest {
                [] => Freshness::First,
                [text] => text.parse()?,
                _ => return Err(invalid("command", usage(command))),
            };
            let (package, requirement) = parse_required("package", &wanted)?;
            Ok(Request::Get { package, requirement, freshness })
        }
        ("versions", [package]) => Ok(Request::Versions(parse_package("package", package)?)),
        ("search", words) => Ok(Request::Search(query(words)?)),
        ("yank", words @ [_, ..]) => undo::yank(words),
        ("unyank", words @ [_, ..]) => undo::unyank(words),
        ("deprecate", [package, words @ ..]) if !words.is_empty() => {
            undo::deprecate(package, words)
        }
        ("undeprecate", [package]) => Ok(Request::Undeprecate(parse_package("package", package)?)),
        ("unregister", [package]) => Ok(Request::Unregister(parse_package("package", package)?)),
        ("pin", [name, owner]) => {
            Ok(Request::Pin { name: parse_name("name", name)?, owner: parse_peer("owner", owner)? })
        }
        ("unpin", [name]) => Ok(Request::Unpin(parse_name("name", name)?)),
        ("dial", addresses @ [_, ..]) => {
            let addresses = addresses.iter().map(|text| parse_address("address", text));
            let addresses = addresses.collect::<Result<Vec<_>>>()?;
            Ok(Request::Dial { peer: whom_to_dial(None, &addresses)?, addresses })
        }
        ("bootstrap", []) => Ok(Request::Bootstrap),
        ("peers", []) => Ok(Request::Peers),
        ("reputation", [peer]) => Ok(Request::Reputation(parse_peer("peer", peer)?)),
        ("subscribe", [topic]) => Ok(Request::Subscribe((*topic).to_owned())),
        ("unsubscribe", [topic]) => Ok(Request::Unsubscribe((*topic).to_owned())),
        ("announce", [topic, text @ ..]) if !text.is_empty() => {
            Ok(Request::Announce { topic: (*topic).to_owned(), text: text.join(" ") })
        }
        ("metadata" | "info", []) => Ok(Request::Metadata),
        ("quit" | "exit", []) => Ok(Request::Shutdown),
        _ => Err(invalid("command", usage(command))),
    }
}

/// A package with what is required of its release, which may have spaces: before a sign, and after a sign or a comma.
fn package_and_rest<'a>(words: &'a [&'a str]) -> (String, &'a [&'a str]) {
    let goes_on = |pair: &[&str]| match pair {
        [before, word] => {
            before.ends_with([',', '<', '>', '=', '~', '^', '-'])
                || word.starts_with([',', '<', '>', '=', '~', '^', '-'])
        }
        _ => false,
    };
    let more = words.windows(2).take_while(|pair| goes_on(pair)).count();
    let (package, rest) = words.split_at_checked(1 + more).unwrap_or((words, &[]));
    (package.join(" "), rest)
}

/// A file's name, and from how many peers its package is to be read back.
fn file_and_confirmation(text: &str) -> (&str, u8) {
    let (before, last) = text.rsplit_once(char::is_whitespace).unwrap_or((text, ""));
    match (before.trim_end().strip_suffix(" confirm"), last.parse()) {
        (Some(file), Ok(confirm)) => (file.trim_end(), confirm),
        _ => (text, 0),
    }
}

/// What the help says of a command.
fn usage(command: &str) -> String {
    let names = |line: &&str| line.split_whitespace().any(|word| word == command);
    match HELP.lines().find(names) {
        Some(line) => format!("`{command}` reads otherwise: {}", line.trim()),
        None => format!("`{command}` is not known; `help` lists the commands"),
    }
}

/// Reads what to search for. A word before a colon that is none of ours is searched for, colon and all.
fn query(words: &[&str]) -> Result<Query> {
    let mut query = Query::new();
    let mut text = Vec::new();
    for word in words {
        query =
            match word.split_once(':') {
                Some(("owner", peer)) => query.with_owner(parse_peer("owner", peer)?),
                Some(("license", license)) => query.with_license(license),
                Some(("version", wanted)) => {
                    let wanted = wanted.parse().map_err(|error| {
                        invalid(
                            "version",
                            format!("`{wanted}` is no requirement like `^1.2` ({error})"),
                        )
                    })?;
                    query.with_version(wanted)
                }
                Some(("match", "any")) => query.with_matching(Match::Any),
                Some(("sort", sort)) => query.with_sort(match sort {
                    "relevance" => Sort::Relevance,
                    "name" => Sort::Name,
                    "updated" => Sort::Updated,
                    _ => return Err(invalid("sort", "is by `relevance`, `name` or `updated`")),
                }),
                Some(("limit", limit)) => query.with_limit(limit.parse().map_err(|_| {
                    invalid("limit", format!("`{limit}` is not a number of packages"))
                })?),
                _ => match word.strip_prefix('#') {
                    Some(keyword) => query.with_keyword(keyword),
                    None => {
                        text.push(*word);
                        query
                    }
                },
            };
    }
    Ok(if text.is_empty() { query } else { query.with_text(text.join(" ")) })
}

fn read_manifest(file: &str) -> Result<Manifest> {
    let invalid = |reason: String| invalid("file", format!("`{file}` {reason}"));
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(MAX_LINE_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|error| invalid(format!("cannot be read: {error}")))?;
    if text.len() > MAX_LINE_BYTES {
        return Err(invalid(format!("is longer than {MAX_LINE_BYTES} bytes")));
    }
    let value = serde_json::from_str(&text);
    json::manifest(value.map_err(|error| invalid(format!("is not JSON: {error}")))?)
}

/// What is printed for an answer.
pub(crate) fn answer(id: &Value, answer: &Result<Answer>) -> String {
    let mut out = String::new();
    // Writing into a `String` cannot fail.
    let _ = match answer {
        Ok(answer) => write_answer(&mut out, answer),
        Err(error) => match id.as_str() {
            Some(command) => writeln!(out, "{command}: {error}"),
            None => writeln!(out, "{error}"),
        },
    };
    out
}

fn write_answer(out: &mut String, answer: &Answer) -> std::fmt::Result {
    match answer {
        Answer::Receipt(receipt) => write_receipt(out, receipt),
        Answer::Package(package) => write_package(out, package),
        Answer::Versions(versions) => {
            if let Some(deprecation) = &versions.deprecated {
                writeln!(out, "deprecated: {}", undo::instead(deprecation))?;
            }
            for info in &versions.releases {
                let mark = undo::mark_listed(info);
                writeln!(out, "{:<16} {}{mark}", info.version.to_string(), info.digest)?;
            }
            Ok(())
        }
        Answer::Packages { packages, coverage } => {
            if packages.is_empty() {
                writeln!(out, "nothing found")?;
            }
            for package in packages {
                let described = package.manifest.description.lines().next().unwrap_or_default();
                writeln!(out, "{}  {described}", title(package))?;
                writeln!(out, "    of {}", package.owner)?;
            }
            write_coverage(out, coverage)
        }
        Answer::Peers { peers } if peers.is_empty() => writeln!(out, "no peer is connected"),
        Answer::Peers { peers } => peers::write(out, peers),
        Answer::Metadata(about) => about::write(out, about),
        Answer::Dialed { peer } => writeln!(out, "connected to {peer}"),
        Answer::Bootstrapped { known_peers } => {
            writeln!(out, "{known_peers} peers in the routing table")
        }
        Answer::Subscribed { subscribed: true } => writeln!(out, "subscribed"),
        Answer::Subscribed { subscribed: false } => writeln!(out, "was subscribed already"),
        Answer::Unsubscribed { unsubscribed: true } => writeln!(out, "unsubscribed"),
        Answer::Unsubscribed { unsubscribed: false } => writeln!(out, "was not subscribed"),
        Answer::Announced { announcement } => writeln!(out, "{}", announced(*announcement)),
        Answer::Pinned { previous: Some(owner) } => writeln!(out, "done; it was pinned to {owner}"),
        Answer::Pinned { previous: None } => writeln!(out, "done; it was not pinned before"),
        Answer::Reputation { seen, score } => {
            let Reputation { valid, invalid, failed, .. } = seen;
            writeln!(
                out,
                "score {score} of 100: {valid} valid, {invalid} invalid, {failed} failed"
            )?;
            for (term, value) in [
                ("success", seen.success),
                ("availability", seen.availability),
                ("response time", seen.response_time),
                ("recency", seen.recency),
                ("nearness", seen.nearness),
            ] {
                writeln!(out, "    {term:<13} {value:.2}")?;
            }
            Ok(())
        }
        Answer::Exported { file, bytes } => writeln!(out, "{bytes} bytes in {file}"),
        Answer::Stopped {} => Ok(()),
    }
}

/// How much of the network has answered a search.
fn write_coverage(out: &mut String, coverage: &SearchReport) -> std::fmt::Result {
    let SearchReport { asked, answered, declined, timed_out, failed, unasked, truncated, .. } =
        coverage;
    if asked.is_empty() {
        return writeln!(out, "  no other peer could be asked; there may be more");
    }
    write!(out, "  {} of {} peers answered", answered.len(), asked.len())?;
    if !declined.is_empty() {
        write!(out, ", {} declined", declined.len())?;
    }
    if !timed_out.is_empty() {
        write!(out, ", {} not in time", timed_out.len())?;
    }
    if !failed.is_empty() {
        write!(out, ", {} broke off", failed.len())?;
    }
    if *unasked > 0 {
        write!(out, ", {unasked} were not asked")?;
    }
    let rest = match (coverage.is_complete(), truncated) {
        (true, _) => ": complete",
        (false, true) => "; more packages match",
        (false, false) => "; there may be more",
    };
    writeln!(out, "{rest}")
}

fn write_receipt(out: &mut String, receipt: &Receipt) -> std::fmt::Result {
    let Receipt { id, sequence, replicas, confirmed, confirmation, .. } = receipt;
    let announcement = announced(receipt.announcement);
    writeln!(out, "{id}\n    sequence {sequence}, stored by {replicas} others, {announcement}")?;
    if *confirmation > 0 {
        writeln!(out, "    read back from {confirmed} others; {confirmation} were wanted")?;
    }
    if *replicas == 0 {
        let again = "this peer tries again by itself, and tells when somebody does";
        writeln!(out, "    nobody else is known to hold it: {again}")?;
    }
    for refused in &receipt.refusals {
        writeln!(out, "    not stored by {}: {}", refused.peers, refused.reason)?;
    }
    for SimilarName { name, owners, .. } in &receipt.look_alikes {
        let owners: Vec<String> = owners.iter().map(PeerId::to_string).collect();
        writeln!(out, "    looks like `{name}` of {}", owners.join(", "))?;
    }
    receipt
        .clock
        .map_or(Ok(()), |offset| writeln!(out, "    this peer's clock is {offset}: set it right"))
}

/// Which release it is, and whether it is still recommended.
fn title(package: &Package) -> String {
    let Package { manifest, .. } = package;
    format!("{} {}{}", manifest.name, manifest.version, undo::mark(package))
}

fn write_package(out: &mut String, package: &Package) -> std::fmt::Result {
    let Package { manifest, owner, source, .. } = package;
    writeln!(out, "{}", title(package))?;
    // What others wrote may have several lines, but must not look like ours.
    for line in manifest.description.lines() {
        writeln!(out, "    {line}")?;
    }
    if let Some(deprecation) = &package.deprecated {
        writeln!(out, "  instead   {}", undo::instead(deprecation))?;
    }
    writeln!(out, "  owner     {owner}")?;
    let lines = [
        ("license", manifest.license.as_deref().unwrap_or_default().to_owned()),
        ("authors", manifest.authors.join(", ")),
        ("keywords", manifest.keywords.join(", ")),
        ("homepage", manifest.homepage.as_deref().unwrap_or_default().to_owned()),
        ("source", manifest.repository.as_deref().unwrap_or_default().to_owned()),
    ];
    for (label, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        writeln!(out, "  {label:<9} {text}")?;
    }
    for dependency in &manifest.dependencies {
        writeln!(out, "  needs     {} {}", dependency.name, dependency.requirement)?;
    }
    for artifact in &manifest.artifacts {
        writeln!(
            out,
            "  file      {} ({} bytes, {})",
            artifact.name, artifact.size, artifact.media_type
        )?;
        writeln!(out, "            {}", artifact.digest)?;
    }
    let from = match source {
        Source::Own => "published by this peer",
        Source::Cache => "read earlier",
        Source::Network => "read from the network",
        Source::Catalogue => "known from the catalogue: no peer was found to hold it",
        Source::Partial => "read from fewer peers than were asked for: there may be a newer one",
        _ => "from elsewhere",
    };
    writeln!(out, "  {from}")
}

fn announced(announcement: Announcement) -> &'static str {
    match announcement {
        Announcement::Sent => "announced",
        Announcement::Queued => "to be announced as soon as somebody listens",
        _ => "announced otherwise",
    }
}

/// What is printed when something happens.
pub(crate) fn event(event: &Event) -> String {
    let because = |reason: &Option<String>| {
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    };
    match event {
        Event::Listening { address } => format!("* listening on {address}\n"),
        Event::ListeningEnded { address, reason } => {
            format!("* no longer listening on {address}{}\n", because(reason))
        }
        Event::Connected { peer, address, direction: way } => {
            format!("* connected {} {peer} at {address}\n", direction(*way))
        }
        Event::Disconnected { peer, reason } => {
            format!("* disconnected from {peer}{}\n", because(reason))
        }
        Event::BootstrapUnreachable { address, reason } => {
            format!("* cannot reach {address}: {reason}\n")
        }
        Event::ClockDisagrees { offset } => {
            format!("* this peer's clock is {offset}: unless it is right, set it\n")
        }
        Event::ClockAgrees { offset } => format!("* this peer's clock is right again: {offset}\n"),
        Event::Discovered { package } => {
            format!("* announced: {}\n", package.id)
        }
        Event::Withdrawn { id } => format!("* withdrawn: {id}\n"),
        Event::Message { topic, author, data } => {
            let text = String::from_utf8_lossy(data);
            format!("* {topic}: {} (from {author})\n", text.escape_debug())
        }
        Event::Replicated { id, replicas } => format!("* {id} is now held by {replicas} others\n"),
        Event::Equivocation { owner, name, .. } => {
            format!("* {owner} signed two histories of `{name}` and deserves no trust\n")
        }
        Event::PeerBlocked { peer, score } => {
            format!("* {peer} serves invalid records (score {score}): refused for an hour\n")
        }
        Event::ClockChanged { by, .. } => {
            let (way, or) = if *by < 0 { ("back", "") } else { ("forward", ", or it has slept") };
            format!("* this machine's clock has moved {way} by {} s{or}\n", by.unsigned_abs())
        }
        Event::StorageFailed { reason } => {
            let again = "this peer goes on, and tries again by itself";
            format!("* what has changed cannot be kept: {reason}; {again}\n")
        }
        Event::StorageRecovered => "* all that has changed is kept again\n".to_owned(),
        other => undo::event(other).unwrap_or_else(|| format!("* {other:?}\n")),
    }
}

/// Tells a terminal's user who this is, and what of an earlier life was found.
pub(crate) fn started(peer: PeerId, network: &NetworkName, data: Option<&Found>) -> String {
    let data = data::words(data);
    format!("this is {peer} on the network `{network}`; `help` lists the commands\n{data}")
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
