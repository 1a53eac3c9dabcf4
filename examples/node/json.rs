//! The machine's form: a JSON object a line, in and out.
//!
//! | line | |
//! |--|--|
//! | `{"id":1,"op":"get","package":"tiny-http"}` | in: a request; the id is a number or a string |
//! | `{"id":3,"op":"get","package":"tiny-http@^1.2"}` | in: the newest release that will do |
//! | `{"id":2,"op":"search","text":"http","license":"MIT"}` | in: another; the fields are those of `Query` |
//! | `{"id":4,"op":"export","file":"alice.snapshot"}` | in: write a snapshot to this file |
//! | `{"id":1,"ok":{…}}` | out: its answer |
//! | `{"id":1,"error":{"kind":"not_found","message":"…"}}` | out: why there is none |
//! | `{"event":"connected","peer":"12D3KooW…",…}` | out: something happened |
//!
//! Requests run at the same time and are answered as they are done: the id says which is which.

use peerage::{
    Deprecation, Error, Event, Freshness, Manifest, Multiaddr, NetworkName, PackageId, PeerId,
    Query, Requirement, Result, SimilarName, VersionInfo, semver::Version,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    data::Found,
    input::{Line, MAX_LINE_BYTES},
    ops::{
        Answer, Request, invalid, one_version, parse_address, parse_name, parse_package,
        parse_peer, parse_required, parse_version, whom_to_dial,
    },
    session::Input,
};

/// Reads a line. A blank one is nothing.
pub(crate) fn parse(line: Line) -> Option<Input> {
    let refuse =
        |reason: String| Input::Refused { id: Value::Null, error: invalid("line", reason) };
    let text = match line {
        Line::Text(text) => text,
        Line::TooLong => return Some(refuse(format!("is longer than {MAX_LINE_BYTES} bytes"))),
        Line::NotUtf8 => return Some(refuse("is not UTF-8".to_owned())),
    };
    if text.trim().is_empty() {
        return None;
    }
    let fields = match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Fields(fields),
        Ok(_) => return Some(refuse("is not a JSON object".to_owned())),
        Err(error) => return Some(refuse(format!("is not JSON ({error})"))),
    };
    Some(parse_object(fields))
}

fn parse_object(mut fields: Fields) -> Input {
    let id = match fields.0.remove("id") {
        None | Some(Value::Null) => Value::Null,
        Some(id @ (Value::Number(_) | Value::String(_))) => id,
        Some(_) => {
            let error = invalid("id", "must be a number or a string");
            return Input::Refused { id: Value::Null, error };
        }
    };
    match parse_request(fields) {
        Ok(request) => Input::Asked { id, request },
        Err(error) => Input::Refused { id, error },
    }
}

fn parse_request(mut fields: Fields) -> Result<Request> {
    let op = fields.text("op")?;
    let request = match op.as_str() {
        "register" => {
            let manifest = Box::new(manifest(fields.needed("manifest")?)?);
            Request::Register { manifest, confirm: fields.confirm()? }
        }
        "get" => {
            let (package, requirement) = fields.package_and_requirement()?;
            let freshness = fields.optional_text("freshness")?;
            let freshness = freshness.map_or(Ok(Freshness::First), |text| text.parse())?;
            Request::Get { package, requirement, freshness }
        }
        "versions" => Request::Versions(parse_package("package", &fields.text("package")?)?),
        "search" => Request::Search(fields.query()?),
        "yank" => {
            let (package, version) = fields.release()?;
            let reason = fields.optional_text("reason")?.unwrap_or_default();
            Request::Yank { package, version, reason }
        }
        "unyank" => {
            let (package, version) = fields.release()?;
            Request::Unyank { package, version }
        }
        "deprecate" => {
            let package = parse_package("package", &fields.text("package")?)?;
            let mut deprecation = Deprecation::new(fields.text("text")?);
            let successor = fields.optional_text("successor")?;
            deprecation.successor =
                successor.map(|text| parse_package("successor", &text)).transpose()?;
            Request::Deprecate { package, deprecation }
        }
        "undeprecate" => Request::Undeprecate(parse_package("package", &fields.text("package")?)?),
        "unregister" => Request::Unregister(parse_package("package", &fields.text("package")?)?),
        "metadata" => Request::Metadata,
        "peers" => Request::Peers,
        "dial" => {
            let addresses = fields.addresses()?;
            let peer = whom_to_dial(fields.optional_peer()?, &addresses)?;
            Request::Dial { peer, addresses }
        }
        "bootstrap" => Request::Bootstrap,
        "subscribe" => Request::Subscribe(fields.text("topic")?),
        "unsubscribe" => Request::Unsubscribe(fields.text("topic")?),
        "announce" => {
            Request::Announce { topic: fields.text("topic")?, text: fields.text("text")? }
        }
        "pin" => Request::Pin {
            name: parse_name("package", &fields.text("package")?)?,
            owner: parse_peer("peer", &fields.text("peer")?)?,
        },
        "unpin" => Request::Unpin(parse_name("package", &fields.text("package")?)?),
        "reputation" => Request::Reputation(parse_peer("peer", &fields.text("peer")?)?),
        "export" => Request::Export(fields.text("file")?.into()),
        "shutdown" => Request::Shutdown,
        _ => return Err(invalid("op", format!("`{op}` is not known; known are {OPS}"))),
    };
    match fields.0.keys().next() {
        None => Ok(request),
        Some(field) => Err(invalid(field.as_str(), format!("the op `{op}` takes no such field"))),
    }
}

const OPS: &str = "register, get, versions, search, yank, unyank, deprecate, undeprecate, \
                   unregister, metadata, peers, dial, bootstrap, subscribe, unsubscribe, announce, pin, unpin, reputation, export, shutdown";

/// The fields of a request that have not been used yet. One that is `null` is as good as absent.
struct Fields(Map<String, Value>);

impl Fields {
    fn optional(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field).filter(|value| !value.is_null())
    }

    fn needed(&mut self, field: &str) -> Result<Value> {
        self.optional(field).ok_or_else(|| invalid(field, "is missing"))
    }

    fn optional_text(&mut self, field: &str) -> Result<Option<String>> {
        self.optional(field).map(|value| as_text(field, value)).transpose()
    }

    fn text(&mut self, field: &str) -> Result<String> {
        as_text(field, self.needed(field)?)
    }

    fn optional_texts(&mut self, field: &str) -> Result<Vec<String>> {
        match self.optional(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                let texts = values.into_iter().enumerate();
                texts.map(|(i, value)| as_text(&format!("{field}[{i}]"), value)).collect()
            }
            Some(_) => Err(invalid(field, "must be an array of strings")),
        }
    }

    fn optional_peer(&mut self) -> Result<Option<PeerId>> {
        self.optional_text("peer")?.map(|text| parse_peer("peer", &text)).transpose()
    }

    /// A release: its version stands after the name, or in the field `version`.
    fn release(&mut self) -> Result<(PackageId, Version)> {
        let package = parse_package("package", &self.text("package")?)?;
        let version = self.optional_text("version")?;
        let version = version.map(|text| parse_version("version", &text)).transpose()?;
        let version = one_version(&package, version)?;
        let version = version.ok_or_else(|| invalid("version", "is missing"))?;
        Ok((package.with_version(version.clone()), version))
    }

    /// A package, and what is required of its release: after its name, or in the field `version`.
    fn package_and_requirement(&mut self) -> Result<(PackageId, Option<Requirement>)> {
        let (package, named) = parse_required("package", &self.text("package")?)?;
        let given = match self.optional_text("version")? {
            Some(text) => Some(text.parse::<Requirement>().map_err(|error| match error {
                Error::Invalid { reason, .. } => invalid("version", reason),
                other => other,
            })?),
            None => None,
        };
        match (named, given) {
            (Some(named), Some(given)) if named != given => {
                Err(invalid("version", format!("`{given}` contradicts `{package}@{named}`")))
            }
            (named, given) => Ok((package, named.or(given))),
        }
    }

    fn confirm(&mut self) -> Result<u8> {
        let confirm = self.optional("confirm").unwrap_or_else(|| 0.into());
        let number = confirm.as_u64().and_then(|number| u8::try_from(number).ok());
        number.ok_or_else(|| invalid("confirm", "must be a number of peers up to 255"))
    }

    fn addresses(&mut self) -> Result<Vec<Multiaddr>> {
        let texts = self.optional_texts("addresses")?;
        if texts.is_empty() {
            return Err(invalid("addresses", "name at least one address to dial"));
        }
        let texts = texts.iter().enumerate();
        texts.map(|(i, text)| parse_address(&format!("addresses[{i}]"), text)).collect()
    }

    /// All that are left: each is a field of [`Query`], under its name.
    fn query(&mut self) -> Result<Query> {
        let keywords = self.optional_texts("keywords")?;
        let fields = std::mem::take(&mut self.0).into_iter().filter(|(_, value)| !value.is_null());
        let mut query: Query = read_each("", fields.collect(), &Map::new())?;
        query.keywords = keywords;
        Ok(query)
    }
}

fn as_text(field: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(invalid(field, "must be a string")),
    }
}

/// Reads a manifest.
pub(crate) fn manifest(value: Value) -> Result<Manifest> {
    let Value::Object(fields) = value else {
        return Err(invalid("manifest", "must be an object"));
    };
    for needed in ["name", "version"] {
        if !fields.contains_key(needed) {
            return Err(invalid(format!("manifest.{needed}"), "is missing"));
        }
    }
    let probe = [("name", "probe"), ("version", "0.0.0")];
    let probe = probe.map(|(field, value)| (field.to_owned(), value.into()));
    read_each("manifest.", fields, &Map::from_iter(probe))
}

/// Reads an object, or says which of its fields cannot be read. JSON errors do not say what they are about, so what
/// does not read is tried again field by field, each put into `base`, which reads.
fn read_each<T: DeserializeOwned>(
    prefix: &str,
    fields: Map<String, Value>,
    base: &Map<String, Value>,
) -> Result<T> {
    let read = |fields: Map<String, Value>| serde_json::from_value::<T>(Value::Object(fields));
    read(fields.clone()).map_err(|error| {
        let mut culprits = fields.into_iter().filter_map(|(field, value)| {
            let mut probe = base.clone();
            probe.insert(field.clone(), value);
            let error = read(probe).err()?;
            Some(invalid(format!("{prefix}{field}"), error.to_string()))
        });
        let whole = prefix.strip_suffix('.').unwrap_or("line");
        culprits.next().unwrap_or_else(|| invalid(whole, error.to_string()))
    })
}

/// The first line: who speaks, and what of an earlier life was found.
pub(crate) fn started(peer: PeerId, network: &NetworkName, data: Option<&Found>) -> String {
    #[derive(Serialize)]
    struct Started<'a> {
        event: &'a str,
        peer: PeerId,
        network: &'a NetworkName,
        /// None if nothing is kept.
        data: Option<&'a Found>,
    }
    line(&Started { event: "started", peer, network, data })
}

pub(crate) fn event(event: &Event) -> String {
    line(event)
}

pub(crate) fn answer(id: &Value, answer: &Result<Answer>) -> String {
    #[derive(Serialize)]
    struct Answered<'a, T> {
        id: &'a Value,
        #[serde(flatten)]
        outcome: T,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Outcome<'a> {
        Ok(&'a Answer),
        Error(Failure<'a>),
    }
    #[derive(Serialize)]
    struct Failure<'a> {
        kind: &'static str,
        message: String,
        /// The field at fault, as a path.
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'a str>,
        /// Who claims the name, sorted.
        #[serde(skip_serializing_if = "Option::is_none")]
        claimants: Option<&'a [PeerId]>,
        /// Names that may have been meant, with their owners.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        similar: &'a [SimilarName],
        /// The releases that there are, newest first: some of them, where there are many.
        #[serde(skip_serializing_if = "Option::is_none")]
        versions: Option<&'a [VersionInfo]>,
        /// How many releases there are.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<usize>,
    }
    let outcome = match answer {
        Ok(answer) => Outcome::Ok(answer),
        Err(error) => {
            let (kind, message) = (error.kind(), error.to_string());
            let mut failure = Failure {
                kind,
                message,
                field: None,
                claimants: None,
                similar: &[],
                versions: None,
                total: None,
            };
            match error {
                Error::Invalid { field, .. } => failure.field = Some(field),
                Error::Ambiguous { claimants, .. } => failure.claimants = Some(claimants),
                Error::NotFound { similar, .. } => failure.similar = similar,
                Error::NoMatch { versions, total, .. } => {
                    failure.versions = Some(versions);
                    failure.total = Some(*total);
                }
                _ => {}
            }
            Outcome::Error(failure)
        }
    };
    line(&Answered { id, outcome })
}

fn line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_else(|error| {
        // Only a map with keys that are not strings cannot be written, and none of these types has one.
        tracing::error!(%error, "a line could not be written as JSON");
        r#"{"event":"unprintable"}"#.to_owned()
    });
    line.push('\n');
    line
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
