//! What a simulation measured, as one page that one looks at.
//!
//! Plain data goes in, one self-contained HTML page comes out: no script, nothing loaded from elsewhere, plots as inline
//! SVG, the numbers as tables beside them. Light and dark follow the reader's setting. The same plots can be written as
//! files of their own ([`Plot::to_svg`]), for a README.
//!
//! The same data gives the same bytes. Any string may hold anything: it is escaped. Any number may be NaN or infinite: it
//! is left out and counted, and where nothing is left the plot says "no data".
//!
//! ```
//! use simulation_report::{Axis, Distribution, Report, Samples, Section};
//!
//! let hops: Samples = [3.0, 4.0, 4.0, 5.0].into_iter().collect();
//! let report = Report::new("Simulation").section(
//!     Section::new("Lookups")
//!         .text("Every lookup of the run.")
//!         .distribution(&Distribution::new("Hops of a lookup", Axis::new("hops", ""), hops)),
//! );
//! assert!(report.to_html().contains("<svg"));
//! assert_eq!(report.plots().count(), 1);
//! ```

mod axis;
mod distribution;
mod draw;
mod extrapolation;
mod fit;
mod growth;
mod page;
mod run;
mod samples;
mod series;
mod style;
mod table;
mod text;

pub use axis::Axis;
pub use distribution::Distribution;
pub use draw::Plot;
pub use extrapolation::{Extrapolation, Resource};
pub use fit::{Fit, NoFit};
pub use growth::{Growth, GrowthPoint, Measured, Theory};
pub use page::{Report, Section};
pub use run::Run;
pub use samples::Samples;
pub use series::{Line, LineKind, Mark, TimeSeries};
pub use table::{Bug, Column, Mutation, Table};
