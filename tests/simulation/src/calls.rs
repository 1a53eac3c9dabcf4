//! What callers ask of a node, and what they are answered.

use std::time::Duration;

use peerage::{
    Error, Freshness, Handle, Manifest, Package, PackageId, PackageName, Query, Receipt, Registry,
    RegistryMetadata, Result, SearchResults, Versions, semver::Version,
};

/// A question, or a change that is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Register(Box<Manifest>),
    Yank(PackageName, Version),
    Unyank(PackageName, Version),
    Unregister(PackageName),
    Get(PackageId, Freshness),
    Versions(PackageId, Freshness),
    Search(Box<Query>),
    /// The whole catalogue, page by page.
    Catalogue,
    Metadata,
    Bootstrap,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Change(Result<Receipt>),
    Package(Result<Package>),
    Versions(Result<Versions>),
    Found(Result<SearchResults>),
    Catalogue(Result<Vec<Package>>),
    Metadata(Result<Box<RegistryMetadata>>),
    Done(Result<()>),
}

impl Call {
    /// Its name in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Yank(..) => "yank",
            Self::Unyank(..) => "unyank",
            Self::Unregister(_) => "unregister",
            Self::Get(_, Freshness::First) => "get first",
            Self::Get(_, Freshness::All) => "get all",
            Self::Get(..) => "get quorum",
            Self::Versions(..) => "versions",
            Self::Search(_) => "search",
            Self::Catalogue => "catalogue",
            Self::Metadata => "metadata",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// Whether it changes what is published.
    pub(crate) fn is_change(&self) -> bool {
        matches!(self, Self::Register(_) | Self::Yank(..) | Self::Unyank(..) | Self::Unregister(_))
    }

    /// Asks it.
    pub(crate) async fn ask(self, handle: Handle) -> Answer {
        match self {
            Self::Register(manifest) => Answer::Change(handle.register(*manifest).await),
            Self::Yank(name, version) => Answer::Change(handle.yank(name, version).await),
            Self::Unyank(name, version) => Answer::Change(handle.unyank(name, version).await),
            Self::Unregister(name) => Answer::Change(handle.unregister(name).await),
            Self::Get(id, freshness) => {
                Answer::Package(handle.with_freshness(freshness).get_package(id).await)
            }
            Self::Versions(id, freshness) => {
                Answer::Versions(handle.with_freshness(freshness).list_versions(id).await)
            }
            Self::Search(query) => Answer::Found(handle.search(*query).await),
            Self::Catalogue => Answer::Catalogue(catalogue(&handle).await),
            Self::Metadata => Answer::Metadata(handle.metadata().await.map(Box::new)),
            Self::Bootstrap => Answer::Done(handle.bootstrap().await.map(drop)),
        }
    }
}

async fn catalogue(handle: &Handle) -> Result<Vec<Package>> {
    let mut all = Vec::new();
    loop {
        let page = Query::new().with_limit(Query::MAX_LIMIT).with_offset(all.len());
        let found = handle.search(page).await?;
        let is_last = found.packages.len() < Query::MAX_LIMIT;
        all.extend(found.packages);
        if is_last {
            return Ok(all);
        }
    }
}

impl Answer {
    /// How it went, in a word.
    pub(crate) fn outcome(&self) -> &'static str {
        let error = match self {
            Self::Change(answer) => answer.as_ref().err(),
            Self::Package(answer) => answer.as_ref().err(),
            Self::Versions(answer) => answer.as_ref().err(),
            Self::Found(answer) => answer.as_ref().err(),
            Self::Catalogue(answer) => answer.as_ref().err(),
            Self::Metadata(answer) => answer.as_ref().err(),
            Self::Done(answer) => answer.as_ref().err(),
        };
        error.map_or("answered", Error::kind)
    }
}

/// How long a call took, for reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) call: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) took: Duration,
}
