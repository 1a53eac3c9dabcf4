/// What an axis shows, and in which unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// The quantity: `latency of a get`.
    pub label: String,
    /// Its unit: `ms`. Empty for a count that the label names already.
    pub unit: String,
}

impl Axis {
    /// A quantity and its unit, which may be empty.
    pub fn new(label: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { label: label.into(), unit: unit.into() }
    }

    /// Both in one line, as it stands beside the axis and above a column.
    pub(crate) fn text(&self) -> String {
        match (self.label.is_empty(), self.unit.is_empty()) {
            (_, true) => self.label.clone(),
            (true, false) => self.unit.clone(),
            (false, false) => format!("{}, {}", self.label, self.unit),
        }
    }
}
