//! What this crate promises about speed, each promise beside its peer in the same run.
//!
//! `cargo bench --bench ratios` prints one line a row, `ratio NAME VALUE <=|>= TARGET ok|short`; with words
//! after `--`, only the rows whose names contain one of them. Absolute times on a shared machine say
//! little: both sides of a row are measured in turns, and the value is the median over the rounds of what
//! one round came to.
//!
//! What is measured in bytes needs an allocator that counts, which would slow down what is measured in time:
//! those rows are a benchmark of their own, `heap`, that this one starts.
//!
//! A family of rows is a file: a function that takes [`Report`], named in `FAMILIES`.

mod crowd;
mod deadlines;
mod dht;
mod dispatch_rows;
mod first_record;
mod heap_rows;
mod lookups;
mod million;
mod reconcile;
mod records;
mod report;
mod search;
mod shelf_rows;
mod start;
mod storage;
mod waiting_rows;
mod wheel;
mod worst_search;

#[path = "../subjects/client.rs"]
mod client;
#[path = "../subjects/dispatch.rs"]
mod dispatch;
#[path = "../subjects/network.rs"]
mod network;
#[path = "../subjects/nodes.rs"]
mod nodes;
#[path = "../subjects/packages.rs"]
mod packages;
#[path = "../subjects/raw.rs"]
mod raw;
#[path = "../subjects/timers.rs"]
mod timers;
#[allow(dead_code, reason = "only the time on processors is looked at here")]
#[path = "../subjects/usage.rs"]
mod usage;
#[path = "../subjects/waiting.rs"]
mod waiting;

use dispatch::Outcome;
use report::Report;

const FAMILIES: [fn(&mut Report) -> Outcome<()>; 17] = [
    dispatch_rows::rows,
    shelf_rows::rows,
    wheel::rows,
    deadlines::rows,
    waiting_rows::rows,
    heap_rows::rows,
    dht::rows,
    lookups::rows,
    crowd::rows,
    first_record::rows,
    records::rows,
    search::rows,
    worst_search::rows,
    reconcile::rows,
    storage::rows,
    start::rows,
    million::rows,
];

fn main() -> Outcome<()> {
    let mut report = Report::from_args(std::env::args().skip(1));
    for family in FAMILIES {
        family(&mut report)?;
    }
    Ok(())
}
