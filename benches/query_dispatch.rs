//! From a command to an answer that is known locally, one call at a time.
//!
//! - `by_hand`: the whole node, polled by the thread that asks, beside a bare dispatch: futures channels
//!   and a `HashMap`.
//! - `on_tokio`: the whole node as a task on a tokio runtime of one thread, beside the classic design on
//!   the same: a task with `select!` over a Swarm, a channel and a sleep.

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "subjects/dispatch.rs"]
mod dispatch;

use dispatch::{Bare, Driven, NodeOnTokio, Outcome, WholeNode, classic::Classic};

fn measure(c: &mut Criterion, group: &str, name: &str, subject: Outcome<impl Driven>) {
    let mut group = c.benchmark_group(group);
    match subject {
        Ok(mut subject) => {
            group.bench_function(name, |b| b.iter_custom(|calls| subject.run(calls)));
        }
        Err(error) => eprintln!("{name} could not be set up: {error}"),
    }
    group.finish();
}

fn by_hand(c: &mut Criterion) {
    measure(c, "by_hand", "node", WholeNode::new());
    measure(c, "by_hand", "bare", Bare::new());
}

fn on_tokio(c: &mut Criterion) {
    measure(c, "on_tokio", "node", NodeOnTokio::new());
    measure(c, "on_tokio", "classic", Classic::new());
}

criterion_group!(benches, by_hand, on_tokio);
criterion_main!(benches);
