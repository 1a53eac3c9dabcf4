//! An own package, read by a caller on a thread of its own while nobody polls the node.

use std::{collections::HashMap, hint::black_box, sync::RwLock, thread, time::Instant};

use futures::FutureExt;
use peerage::{Package, PackageId, Registry};

use crate::{
    dispatch::{self, Outcome},
    report::{Each, Report, Target},
};

const ROUNDS: usize = 101;
const CALLS: u64 = 2_000;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let name = "known/map";
    if !report.wants(name) {
        return Ok(());
    }
    let (node, handle, package) = dispatch::node()?;
    let wanted = PackageId::owned(package.owner, package.id.name().clone());
    let map = RwLock::new(HashMap::from([(wanted.clone(), package)]));
    let ours = || {
        on_a_thread(|| {
            let answer = handle.get_package(wanted.clone()).now_or_never();
            assert!(matches!(black_box(answer), Some(Ok(_))));
        })
    };
    let peer = || {
        on_a_thread(|| {
            let wanted = black_box(&wanted).clone();
            let found: Option<Package> = map.read().ok().and_then(|map| map.get(&wanted).cloned());
            assert!(black_box(found).is_some());
        })
    };
    report.row(name, Target::AtMost(2.0), ROUNDS, ours, peer);
    drop(node);
    Ok(())
}

fn on_a_thread(call: impl Fn() + Send + Sync) -> Each {
    let run = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed()
    };
    let total = thread::scope(|scope| scope.spawn(run).join()).unwrap_or_default();
    Each { total, operations: CALLS }
}
