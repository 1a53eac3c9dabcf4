//! What this crate promises about speed, each promise beside its peer in the same run.
//!
//! `cargo bench --bench ratios` prints one line a row, `ratio NAME VALUE <=|>= TARGET ok|short`; with words
//! after `--`, only the rows whose names contain one of them. Absolute times on a shared machine say
//! little: both sides of a row are measured in turns, and the value is the median over the rounds of what
//! one round came to.
//!
//! A family of rows is a file: a function that takes [`Report`], named in `FAMILIES`.

mod deadlines;
mod dispatch_rows;
mod report;
mod shelf_rows;
mod wheel;

#[path = "../subjects/dispatch.rs"]
mod dispatch;
#[path = "../subjects/timers.rs"]
mod timers;

use dispatch::Outcome;
use report::Report;

const FAMILIES: [fn(&mut Report) -> Outcome<()>; 4] =
    [dispatch_rows::rows, shelf_rows::rows, wheel::rows, deadlines::rows];

fn main() -> Outcome<()> {
    let mut report = Report::from_args(std::env::args().skip(1));
    for family in FAMILIES {
        family(&mut report)?;
    }
    Ok(())
}
