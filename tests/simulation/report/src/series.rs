use std::collections::BTreeMap;

use crate::{
    Axis,
    draw::{self, Plot},
    samples::drawable,
    table::{Column, Table},
    text::number,
};

/// Rows of a table beside a plot. All points stand in the plot.
const MOST_ROWS: usize = 12;

/// Values over time, one line for each quantity. The y axis is linear and starts at zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries {
    /// What is shown, in a few words.
    pub title: String,
    /// Time and its unit.
    pub x: Axis,
    /// The quantity and its unit.
    pub y: Axis,
    /// The lines. At most eight are drawn.
    pub lines: Vec<Line>,
    /// Moments that matter. At most four are drawn.
    pub marks: Vec<Mark>,
}

/// Whether a line was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineKind {
    /// Measured: a solid line in a colour of its own.
    #[default]
    Measured,
    /// What theory says: dashed and grey.
    Theory,
}

/// A line of a [`TimeSeries`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Stands at the line's end.
    pub label: String,
    /// Measured or thought.
    pub kind: LineKind,
    /// Points `(time, value)` in the order of time. A point that is no number leaves a gap.
    pub points: Vec<(f64, f64)>,
}

/// A moment of a [`TimeSeries`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// When it was, in the unit of the x axis.
    pub at: f64,
    /// What happened.
    pub label: String,
}

impl Line {
    /// What was measured.
    pub fn measured(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), kind: LineKind::Measured, points }
    }

    /// What theory says.
    pub fn theory(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), kind: LineKind::Theory, points }
    }
}

impl TimeSeries {
    /// Without lines.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, ..Self::default() }
    }

    /// Adds a line.
    pub fn with_line(mut self, line: Line) -> Self {
        self.lines.push(line);
        self
    }

    /// Marks a moment.
    pub fn with_mark(mut self, at: f64, label: impl Into<String>) -> Self {
        self.marks.push(Mark { at, label: label.into() });
        self
    }

    /// The picture.
    pub fn plot(&self) -> Plot {
        draw::series(self)
    }

    /// Its numbers at some moments, the first and the last among them.
    pub fn table(&self) -> Table {
        // The key sorts as the numbers do, and is the same for the same moment of several lines.
        let key = |at: f64| (at + 0.0).to_bits() ^ if at < 0.0 { u64::MAX } else { 1 << 63 };
        let mut moments: BTreeMap<u64, (f64, Vec<Option<f64>>)> = BTreeMap::new();
        for (column, line) in self.lines.iter().enumerate() {
            for (at, value) in line.points.iter().filter(|(at, y)| drawable(*at) && drawable(*y)) {
                let none = || (*at, vec![None; self.lines.len()]);
                let (_, values) = moments.entry(key(*at)).or_insert_with(none);
                if let Some(cell) = values.get_mut(column) {
                    *cell = Some(*value);
                }
            }
        }
        let unit = if self.y.unit.is_empty() { &self.y.label } else { &self.y.unit };
        let titles =
            self.lines.iter().map(|line| Column::number(format!("{}, {unit}", line.label)));
        let columns = std::iter::once(Column::number(self.x.text())).chain(titles);
        let mut table = Table::new(&*self.title, columns);
        let last = moments.len().saturating_sub(1);
        let rows = last.min(MOST_ROWS - 1);
        let chosen =
            |at: usize| (0..=rows).any(|row| (row * last).checked_div(rows).unwrap_or(0) == at);
        for (_, (at, values)) in moments.values().enumerate().filter(|(at, _)| chosen(*at)) {
            let cells = values.iter().map(|value| value.map_or_else(String::new, number));
            table = table.row(std::iter::once(number(*at)).chain(cells));
        }
        if last > rows {
            table = table.with_note(format!("{} of {} moments.", rows + 1, last + 1));
        }
        table
    }
}
