//! Requests and responses as they are written: format 1, for good. The order of fields and of variants is the format.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    FORMAT, MAX_COMPARISON_BYTES, MAX_EXPLAINED, MAX_FETCHED, MAX_OFFERED, MAX_REQUEST_BYTES,
    MAX_RESPONSE_BYTES, Request, Response, Search,
    goodbye::{OthersWire, into_others, others_of},
};
use crate::{
    error::{Error, Result},
    package::{Digest, Manifest, Match, Query, Sort},
    record::{
        MAX_RECORD_BYTES, RecordKey, Rejected,
        codec::{self, Bytes, List, Text},
        wire::{CoverageWire, key_of, owner_of},
    },
};

type RecordBytes<'a> = Bytes<'a, MAX_RECORD_BYTES>;
type Message<'a> = Bytes<'a, MAX_COMPARISON_BYTES>;
type Heads<'a> = List<RecordBytes<'a>, MAX_FETCHED>;
type Keys<'a> = List<Bytes<'a, { RecordKey::LENGTH }>, MAX_EXPLAINED>;

impl Request {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] or [`Error::TooLarge`] when it is out of its bounds.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        frame(&RequestWire::of(self)?, MAX_REQUEST_BYTES, "request", |bytes| {
            Self::decode(bytes).map(drop)
        })
    }

    /// Reads the one encoding of it, and checks its bounds.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        open::<RequestWire<'_>>(bytes, MAX_REQUEST_BYTES)?.into_request()
    }
}

impl Response {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] or [`Error::TooLarge`] when it is out of its bounds.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        frame(&ResponseWire::of(self), MAX_RESPONSE_BYTES, "response", |bytes| {
            Self::decode(bytes).map(drop)
        })
    }

    /// Reads the one encoding of it, and checks its bounds.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        Ok(open::<ResponseWire<'_>>(bytes, MAX_RESPONSE_BYTES)?.into_response())
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum RequestWire<'a> {
    #[serde(borrow)]
    Hello(RecordBytes<'a>),
    Compare {
        #[serde(borrow)]
        slice: CoverageWire<'a>,
        #[serde(borrow)]
        message: Message<'a>,
    },
    Fetch {
        digests: List<[u8; 32], MAX_FETCHED>,
    },
    Offer {
        digests: List<[u8; 32], MAX_OFFERED>,
    },
    #[serde(borrow)]
    Search(SearchWire<'a>),
    Explain {
        #[serde(borrow)]
        keys: Keys<'a>,
    },
    Goodbye {
        reason: u8,
        #[serde(borrow)]
        others: OthersWire<'a>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum ResponseWire<'a> {
    #[serde(borrow)]
    Hello(RecordBytes<'a>),
    Compared {
        #[serde(borrow)]
        message: Message<'a>,
    },
    Declined {
        retry_after_secs: u32,
    },
    Heads {
        #[serde(borrow)]
        heads: Heads<'a>,
    },
    Noted,
    Hits {
        #[serde(borrow)]
        heads: Heads<'a>,
        total: u64,
        more: bool,
    },
    Refusals {
        #[serde(borrow)]
        codes: Bytes<'a, MAX_EXPLAINED>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct SearchWire<'a> {
    #[serde(borrow)]
    text: Option<Text<'a, { Query::MAX_TEXT_BYTES }>>,
    matching: MatchingWire,
    #[serde(borrow)]
    keywords: List<Text<'a, { Manifest::MAX_KEYWORD_BYTES }>, { Manifest::MAX_KEYWORDS }>,
    owner: Option<[u8; 32]>,
    #[serde(borrow)]
    license: Option<Text<'a, { Manifest::MAX_LICENSE_BYTES }>>,
    #[serde(borrow)]
    version: Option<Text<'a, { Manifest::MAX_REQUIREMENT_BYTES }>>,
    sort: SortWire,
    offset: u32,
    limit: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum MatchingWire {
    All,
    Any,
}

#[derive(Debug, Serialize, Deserialize)]
enum SortWire {
    Relevance,
    Name,
    Updated,
}

impl<'a> RequestWire<'a> {
    fn of(request: &'a Request) -> Result<Self> {
        Ok(match request {
            Request::Hello(hello) => Self::Hello(Bytes(hello)),
            Request::Compare { slice, message } => {
                Self::Compare { slice: CoverageWire::of(slice), message: Bytes(message) }
            }
            Request::Fetch { digests } => Self::Fetch { digests: list(digests) },
            Request::Offer { digests } => Self::Offer { digests: list(digests) },
            Request::Search(search) => Self::Search(SearchWire::of(search)?),
            Request::Explain { keys } => {
                Self::Explain { keys: List(keys.iter().map(|key| Bytes(key.as_bytes())).collect()) }
            }
            Request::Goodbye { reason, others } => {
                Self::Goodbye { reason: *reason, others: others_of(others)? }
            }
        })
    }

    fn into_request(self) -> Result<Request, Rejected> {
        Ok(match self {
            Self::Hello(hello) => Request::Hello(hello.0.to_vec()),
            Self::Compare { slice, message } => {
                Request::Compare { slice: slice.into_coverage()?, message: message.0.to_vec() }
            }
            Self::Fetch { digests } => Request::Fetch { digests: distinct(digests.0)? },
            Self::Offer { digests } => Request::Offer { digests: distinct(digests.0)? },
            Self::Search(search) => Request::Search(search.into_search()?),
            Self::Explain { keys } => Request::Explain { keys: distinct_keys(keys)? },
            Self::Goodbye { reason, others } => {
                Request::Goodbye { reason, others: into_others(others)? }
            }
        })
    }
}

impl<'a> ResponseWire<'a> {
    fn of(response: &'a Response) -> Self {
        match response {
            Response::Hello(hello) => Self::Hello(Bytes(hello)),
            Response::Compared { message } => Self::Compared { message: Bytes(message) },
            Response::Declined { retry_after_secs } => {
                Self::Declined { retry_after_secs: *retry_after_secs }
            }
            Response::Heads { heads } => Self::Heads { heads: records(heads) },
            Response::Noted => Self::Noted,
            Response::Hits { heads, total, more } => {
                Self::Hits { heads: records(heads), total: *total, more: *more }
            }
            Response::Refusals { codes } => Self::Refusals { codes: Bytes(codes) },
        }
    }

    fn into_response(self) -> Response {
        let owned = |heads: Heads<'_>| heads.0.into_iter().map(|head| head.0.to_vec()).collect();
        match self {
            Self::Hello(hello) => Response::Hello(hello.0.to_vec()),
            Self::Compared { message } => Response::Compared { message: message.0.to_vec() },
            Self::Declined { retry_after_secs } => Response::Declined { retry_after_secs },
            Self::Heads { heads } => Response::Heads { heads: owned(heads) },
            Self::Noted => Response::Noted,
            Self::Hits { heads, total, more } => {
                Response::Hits { heads: owned(heads), total, more }
            }
            Self::Refusals { codes } => Response::Refusals { codes: codes.0.to_vec() },
        }
    }
}

impl<'a> SearchWire<'a> {
    fn of(search: &'a Search) -> Result<Self> {
        Ok(Self {
            text: search.text.as_deref().map(Text::of),
            matching: match search.matching {
                Match::All => MatchingWire::All,
                Match::Any => MatchingWire::Any,
            },
            keywords: List(search.keywords.iter().map(|keyword| Text::of(keyword)).collect()),
            owner: search.owner.as_ref().map(key_of).transpose()?,
            license: search.license.as_deref().map(Text::of),
            version: search.version.as_deref().map(Text::of),
            sort: match search.sort {
                Sort::Relevance => SortWire::Relevance,
                Sort::Name => SortWire::Name,
                Sort::Updated => SortWire::Updated,
            },
            offset: search.offset,
            limit: search.limit,
        })
    }

    fn into_search(self) -> Result<Search, Rejected> {
        let search = Search {
            text: self.text.map(Text::into_string),
            matching: match self.matching {
                MatchingWire::All => Match::All,
                MatchingWire::Any => Match::Any,
            },
            keywords: self.keywords.0.into_iter().map(Text::into_string).collect(),
            owner: self.owner.as_ref().map(owner_of).transpose()?,
            license: self.license.map(Text::into_string),
            version: self.version.map(Text::into_string),
            sort: match self.sort {
                SortWire::Relevance => Sort::Relevance,
                SortWire::Name => Sort::Name,
                SortWire::Updated => Sort::Updated,
            },
            offset: self.offset,
            limit: self.limit,
        };
        search.validate()?;
        Ok(search)
    }
}

fn list<const MAX: usize>(digests: &[Digest]) -> List<[u8; 32], MAX> {
    List(digests.iter().map(|digest| *digest.as_bytes()).collect())
}

fn records(heads: &[Vec<u8>]) -> Heads<'_> {
    List(heads.iter().map(|head| Bytes(head)).collect())
}

/// Some, and each once: asking twice for one head would have it sent twice.
fn distinct(digests: Vec<[u8; 32]>) -> Result<Vec<Digest>, Rejected> {
    let mut seen = HashSet::with_capacity(digests.len());
    if digests.is_empty() || !digests.iter().all(|digest| seen.insert(*digest)) {
        return Err(Rejected::encoding("digests are missing, or told twice"));
    }
    Ok(digests.into_iter().map(Digest::from_bytes).collect())
}

/// Some, and each once.
fn distinct_keys(keys: Keys<'_>) -> Result<Vec<RecordKey>, Rejected> {
    let keys: Vec<_> =
        keys.0.iter().map(|key| RecordKey::try_from(key.0)).collect::<Result<_, _>>()?;
    let distinct: HashSet<_> = keys.iter().collect();
    if keys.is_empty() || distinct.len() < keys.len() {
        return Err(Rejected::encoding("keys are missing, or told twice"));
    }
    Ok(keys)
}

/// Writes a message with its format, unless others would not read it.
fn frame(
    message: &impl Serialize,
    max: usize,
    what: &'static str,
    read: impl FnOnce(&[u8]) -> Result<(), Rejected>,
) -> Result<Vec<u8>> {
    let size = 1 + codec::size(message)?;
    if size > max {
        return Err(Error::TooLarge { what: what.into(), size, max });
    }
    let mut bytes = Vec::with_capacity(size);
    bytes.push(FORMAT);
    bytes.extend(codec::encode(message)?);
    read(&bytes).map_err(|rejected| Error::invalid(what, rejected.to_string()))?;
    Ok(bytes)
}

fn open<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8], max: usize) -> Result<T, Rejected> {
    if bytes.len() > max {
        return Err(Rejected::encoding("more bytes than a frame may have"));
    }
    match bytes.split_first() {
        Some((&FORMAT, message)) => codec::decode_strict(message),
        Some((&found, _)) => Err(Rejected::Format { found }),
        None => Err(Rejected::encoding("a frame without a format")),
    }
}
