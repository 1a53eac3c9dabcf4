use crate::{
    Axis, Samples,
    draw::{self, Plot},
    table::{Column, Table},
    text::number,
};

/// How one quantity is distributed, drawn as a histogram above its cumulative curve, with p50, p95 and p99 marked. The axis
/// is logarithmic where the values spread over more than a factor of 100.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// What was measured, in a few words.
    pub title: String,
    /// The quantity and its unit.
    pub axis: Axis,
    /// The values.
    pub samples: Samples,
}

impl Distribution {
    /// A distribution of `samples`.
    pub fn new(title: impl Into<String>, axis: Axis, samples: Samples) -> Self {
        Self { title: title.into(), axis, samples }
    }

    /// The picture.
    pub fn plot(&self) -> Plot {
        draw::distribution(self)
    }

    /// Its numbers.
    pub fn table(&self) -> Table {
        let samples = &self.samples;
        let columns = [Column::text("of all values"), Column::number(self.axis.text())];
        let rows = [
            ("smallest", samples.min()),
            ("p50 (median)", samples.quantile(0.5)),
            ("p90", samples.quantile(0.9)),
            ("p95", samples.quantile(0.95)),
            ("p99", samples.quantile(0.99)),
            ("largest", samples.max()),
            ("mean", samples.mean()),
        ];
        let mut table = Table::new(&*self.title, columns);
        for (name, value) in rows {
            if let Some(value) = value {
                table = table.row([name.to_owned(), number(value)]);
            }
        }
        let count = number(samples.len() as f64);
        table.with_note(match samples.left_out() {
            0 => format!("{count} values."),
            others => format!("{count} values; {others} that are no numbers are left out."),
        })
    }
}
