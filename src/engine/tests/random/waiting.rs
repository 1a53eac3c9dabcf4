//! Calls as their callers know them.

use super::*;
use crate::{
    freshness::Found,
    package::{Announcement, Receipt, Source, Versions},
    search::{Finding, SearchReport},
};

/// A call that has not been answered as far as its caller knows.
pub(super) enum Waiting {
    Package(oneshot::Receiver<Result<Box<Package>>>),
    Versions(oneshot::Receiver<Result<Versions>>),
    Receipt(oneshot::Receiver<Result<Receipt>>),
    Record(oneshot::Receiver<Result<Found>>),
    Replicas(oneshot::Receiver<Result<u32>>),
    Known(oneshot::Receiver<Result<usize>>),
    Dialed(oneshot::Receiver<Result<()>>),
    Announced(oneshot::Receiver<Result<Announcement>>),
    Search(mpsc::UnboundedReceiver<Finding>),
}

impl Waiting {
    /// Whether it has been answered. A reply that was dropped unanswered is a failure.
    #[cfg(test)]
    pub(super) fn is_answered(&mut self) -> bool {
        self.answer(&HashMap::new()).is_some()
    }

    /// How it has been answered, if it has, which must be with nothing older than what had been seen when it was asked.
    pub(super) fn answer(&mut self, seen: &Seen) -> Option<&'static str> {
        fn look<T>(receiver: &mut oneshot::Receiver<Result<T>>) -> Option<Result<T>> {
            receiver.try_recv().expect("a reply was dropped without an answer")
        }
        fn outcome<T>(answer: &Result<T>) -> &'static str {
            match answer.as_ref().map_err(crate::error::Error::kind) {
                Ok(_) => "answered",
                Err("not_found" | "withdrawn") => "not_found",
                Err("timeout") => "timed_out",
                Err("busy" | "invalid" | "too_large" | "conflict") => "refused",
                Err(_) => "failed",
            }
        }
        let fresh = |owner: PeerId, name: &PackageName, sequence: u64| {
            let newest = seen.get(&(owner, name.clone())).copied().unwrap_or(0);
            assert!(
                sequence >= newest,
                "{owner}/{name}: sequence {sequence} where {newest} was seen"
            );
        };
        match self {
            Self::Package(receiver) => look(receiver).map(|answer| {
                if let Ok(package) = &answer {
                    fresh(package.owner, package.id.name(), package.sequence);
                }
                outcome(&answer)
            }),
            Self::Versions(receiver) => look(receiver).map(|answer| {
                if let Ok(versions) = &answer {
                    fresh(versions.owner, &versions.name, versions.sequence);
                }
                outcome(&answer)
            }),
            Self::Receipt(receiver) => look(receiver).as_ref().map(outcome),
            Self::Record(receiver) => look(receiver).as_ref().map(outcome),
            Self::Replicas(receiver) => look(receiver).as_ref().map(outcome),
            Self::Known(receiver) => look(receiver).as_ref().map(outcome),
            Self::Dialed(receiver) => look(receiver).as_ref().map(outcome),
            Self::Announced(receiver) => look(receiver).as_ref().map(outcome),
            Self::Search(findings) => loop {
                match findings.try_recv() {
                    // An own package is what this node has last made of it.
                    Ok(Finding::Hit(hit)) if hit.package.source == Source::Own => {}
                    Ok(Finding::Hit(hit)) => {
                        let package = &hit.package;
                        fresh(package.owner, package.id.name(), package.sequence);
                    }
                    Ok(Finding::Ended(report)) => {
                        let SearchReport { asked, answered, declined, timed_out, failed, .. } =
                            &report;
                        let mut ended = [&answered[..], declined, timed_out, failed].concat();
                        let mut asked = asked.clone();
                        asked.sort();
                        ended.sort();
                        assert_eq!(asked, ended, "who was asked is told of, once");
                        break Some("answered");
                    }
                    Ok(Finding::Failed(error)) => break Some(outcome::<()>(&Err(error))),
                    Err(mpsc::TryRecvError::Empty) => break None,
                    Err(mpsc::TryRecvError::Closed) => panic!("a search ended without a report"),
                }
            },
        }
    }

    /// What has been asked for, as the counters name it. Changes are counted apart from each other, and known here
    /// together.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Package(_) => "get",
            Self::Versions(_) => "versions",
            Self::Receipt(_) => "register, yank or unregister",
            Self::Record(_) => "get_record",
            Self::Replicas(_) => "put_record",
            Self::Known(_) => "bootstrap",
            Self::Dialed(_) => "dial",
            Self::Announced(_) => "announce",
            Self::Search(_) => "search",
        }
    }
}
