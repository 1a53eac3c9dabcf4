//! What lookups that wait take in memory, by an allocator that counts. `cargo bench --bench ratios` starts it,
//! and says how its rows are read.

use std::{alloc::System, cell::RefCell, hint::black_box};

use cap::Cap;

#[path = "subjects/dispatch.rs"]
mod dispatch;
#[path = "subjects/network.rs"]
mod network;
#[path = "subjects/raw.rs"]
mod raw;
#[path = "ratios/report.rs"]
mod report;
#[path = "subjects/waiting.rs"]
mod waiting;

use dispatch::Outcome;
use report::{BytesEach, Report, Target};
use waiting::{IN_KAD, IN_NODE, WaitingNode, WaitingRaw};

/// The system's allocator, which counts what is allocated.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn allocated() -> usize {
    ALLOCATOR.allocated()
}

fn main() -> Outcome<()> {
    let report = Report::from_args(std::env::args().skip(1));
    heap(
        &report,
        ("waiting/heap-bytes", Target::AtMost(1.0 / 30.0)),
        || (IN_NODE, WaitingNode::new(IN_NODE, allocated).map(|node| black_box(node).bytes)),
        || (IN_KAD, WaitingRaw::new(IN_KAD, allocated).map(|raw| black_box(raw).bytes)),
    )?;
    heap(
        &report,
        ("running/heap-bytes", Target::AtMost(0.2)),
        || (IN_KAD, WaitingNode::running(IN_KAD, allocated).map(|node| black_box(node).bytes)),
        || (IN_KAD, WaitingRaw::running(IN_KAD, allocated).map(|raw| black_box(raw).bytes)),
    )
}

/// So many lookups, and what they take.
type Taken = (usize, Outcome<usize>);

/// What is allocated for each.
fn heap(
    report: &Report,
    (name, target): (&str, Target),
    ours: impl Fn() -> Taken,
    peer: impl Fn() -> Taken,
) -> Outcome<()> {
    if !report.wants(name) {
        return Ok(());
    }
    let failure = RefCell::new(None);
    let bytes = |(things, taken): Taken| {
        let total = taken.unwrap_or_else(|error| {
            failure.replace(Some(error));
            0
        });
        BytesEach { total, things }
    };
    report.row(name, target, 1, || bytes(ours()), || bytes(peer()));
    failure.into_inner().map_or(Ok(()), Err)
}
