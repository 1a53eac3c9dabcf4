//! The calls of the registry, each timed, and each answer checked against what was published.

use std::{collections::BTreeSet, time::Instant};

use futures::{FutureExt, future::LocalBoxFuture};
use peerage::{Error, Package, PackageId, Query, Registry, Result, SearchResults, Source};

use crate::{
    listing::{Listing, Release},
    needs::Need,
    peer::Peer,
    report::Outcome,
};

/// A piece of work for one peer.
pub(crate) type Job<'a> = LocalBoxFuture<'a, Vec<Outcome>>;

/// Makes a call, and takes its time and what the check says of the answer.
async fn timed<T>(
    subject: &PackageId,
    call: impl Future<Output = Result<T>>,
    check: impl FnOnce(Result<T>) -> Result<Option<Source>, String>,
) -> Outcome {
    let begun = Instant::now();
    let answer = call.await;
    let took = begun.elapsed();
    match check(answer) {
        Ok(source) => Outcome { took, source, failure: None },
        Err(wrong) => Outcome { took, source: None, failure: Some(format!("{subject}: {wrong}")) },
    }
}

fn said(error: Error) -> String {
    error.to_string()
}

/// Publishes the releases of a package in their order.
pub(crate) fn publish<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let mut outcomes = Vec::new();
        for release in &listing.releases {
            let (id, begun) = (listing.release_id(release), Instant::now());
            let call = peer.handle.register(release.manifest.clone());
            let check = |answer: Result<_>| {
                listing.confirm(&answer.map_err(said)?, &id, begun).map(|()| None)
            };
            outcomes.push(timed(&id, call, check).await);
        }
        outcomes
    }
    .boxed_local()
}

pub(crate) fn find<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move { vec![newest(peer, listing, listing.id.clone()).await] }.boxed_local()
}

pub(crate) fn resolve<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move { vec![newest(peer, listing, listing.bare()).await] }.boxed_local()
}

/// Resolves a dependency by its requirement.
pub(crate) fn resolve_need<'a>(peer: &'a Peer, need: &'a Need<'_>) -> Job<'a> {
    async move {
        let wanted = need.dependency.package();
        let call = peer.handle.resolve(wanted.clone(), need.dependency.requirement.clone().into());
        let outcome = timed(&wanted, call, |answer| match (answer, need.release()) {
            (Ok(package), Some(release)) if package.id == release => Ok(Some(package.source)),
            (Err(Error::NoMatch { .. }), None) => Ok(None),
            (Ok(package), release) => Err(format!("{} came, and not {release:?}", package.id)),
            (Err(error), _) => Err(said(error)),
        });
        vec![outcome.await]
    }
    .boxed_local()
}

async fn newest(peer: &Peer, listing: &Listing, asked: PackageId) -> Outcome {
    let call = peer.handle.get_package(asked.clone());
    timed(&asked, call, |answer| {
        let package = answer.map_err(said)?;
        listing.check_newest(&package).map(|()| Some(package.source))
    })
    .await
}

pub(crate) fn read_releases<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let mut outcomes = Vec::new();
        for release in &listing.releases {
            outcomes.push(read(peer, listing, release).await);
        }
        outcomes
    }
    .boxed_local()
}

async fn read(peer: &Peer, listing: &Listing, release: &Release) -> Outcome {
    let version = release.manifest.version.clone();
    let call = peer.handle.get_version(listing.id.clone(), version);
    timed(&listing.release_id(release), call, |answer| {
        let package = answer.map_err(said)?;
        listing.check(release, &package).map(|()| Some(package.source))
    })
    .await
}

pub(crate) fn list_versions<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move { vec![versions(peer, listing).await] }.boxed_local()
}

async fn versions(peer: &Peer, listing: &Listing) -> Outcome {
    let call = peer.handle.list_versions(listing.id.clone());
    timed(&listing.id, call, |answer| listing.check_versions(&answer.map_err(said)?).map(|()| None))
        .await
}

/// Searches for the name, whose package must come first: nothing fits a text better than a name that is
/// the text.
pub(crate) fn search_text<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let query = Query::new().with_text(listing.name().as_str());
        let outcome = timed(&listing.id, peer.handle.search(query), |answer| {
            let found: SearchResults = answer.map_err(said)?;
            let first = found.packages.first().ok_or("nothing was found")?;
            listing.check_newest(first).map(|()| None)
        });
        vec![outcome.await]
    }
    .boxed_local()
}

/// Searches for a keyword: all packages that have it are found, and no other.
pub(crate) fn search_keyword<'a>(
    peer: &'a Peer,
    (keyword, holders): &'a (String, BTreeSet<PackageId>),
) -> Job<'a> {
    async move {
        let query = Query::new().with_keyword(keyword.as_str()).with_limit(Query::MAX_LIMIT);
        let call = peer.handle.search(query);
        let begun = Instant::now();
        let answer = call.await;
        let took = begun.elapsed();
        let failure = match answer {
            Ok(matches) => {
                let ids = matches.packages.into_iter().map(|package| package.id.without_version());
                let found: BTreeSet<_> = ids.collect();
                (found != *holders || matches.truncated)
                    .then(|| format!("`{keyword}`: {} found of {}", found.len(), holders.len()))
            }
            Err(error) => Some(format!("`{keyword}`: {error}")),
        };
        vec![Outcome { took, source: None, failure }]
    }
    .boxed_local()
}

/// Yanks the newest release.
pub(crate) fn yank<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let Some(release) = listing.newest() else { return Vec::new() };
        let (id, begun) = (listing.release_id(release), Instant::now());
        let call = peer.handle.yank(listing.name().clone(), release.manifest.version.clone());
        let check =
            |answer: Result<_>| listing.confirm(&answer.map_err(said)?, &id, begun).map(|()| None);
        vec![timed(&id, call, check).await]
    }
    .boxed_local()
}

/// The name means another release now, if there is one; the yanked one is still there, and marked.
pub(crate) fn see_yanked<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let mut outcomes =
            vec![newest(peer, listing, listing.id.clone()).await, versions(peer, listing).await];
        for release in listing.releases.iter().filter(|release| release.yanked) {
            outcomes.push(read(peer, listing, release).await);
        }
        outcomes
    }
    .boxed_local()
}

pub(crate) fn withdraw<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let begun = Instant::now();
        let call = peer.handle.unregister(listing.name().clone());
        let check = |answer: Result<_>| {
            listing.confirm(&answer.map_err(said)?, &listing.id, begun).map(|()| None)
        };
        vec![timed(&listing.id, call, check).await]
    }
    .boxed_local()
}

/// Whoever asks for it hears that it was withdrawn, and a search does not find it.
pub(crate) fn see_withdrawn<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let query = Query::new().with_text(listing.name().as_str()).with_limit(Query::MAX_LIMIT);
        let search = timed(&listing.id, peer.handle.search(query), |answer| {
            let matches: SearchResults = answer.map_err(said)?;
            let is_it = |one: &Package| one.id.clone().without_version() == listing.id;
            if matches.packages.iter().any(is_it) {
                Err("a search still finds it".to_owned())
            } else {
                Ok(None)
            }
        });
        vec![
            is_withdrawn(peer, listing, listing.id.clone()).await,
            is_withdrawn(peer, listing, listing.bare()).await,
            search.await,
        ]
    }
    .boxed_local()
}

async fn is_withdrawn(peer: &Peer, listing: &Listing, asked: PackageId) -> Outcome {
    let call = peer.handle.get_package(asked.clone());
    timed(&asked, call, |answer| expect_withdrawn(listing, answer)).await
}

/// Publishing it again is refused: a withdrawal is final.
pub(crate) fn revive<'a>(peer: &'a Peer, listing: &'a Listing) -> Job<'a> {
    async move {
        let Some(release) = listing.releases.last() else { return Vec::new() };
        let call = peer.handle.register(release.manifest.clone());
        vec![timed(&listing.id, call, |answer| expect_withdrawn(listing, answer)).await]
    }
    .boxed_local()
}

fn expect_withdrawn<T>(listing: &Listing, answer: Result<T>) -> Result<Option<Source>, String> {
    match answer {
        Err(Error::Withdrawn { id, .. }) if id.clone().without_version() == listing.id => Ok(None),
        Err(error) => Err(format!("it should be withdrawn, but: {error}")),
        Ok(_) => Err("it should be withdrawn, but an answer came".to_owned()),
    }
}
