use crate::{
    Axis, Fit, Samples,
    draw::{self, Plot},
    table::{Column, Table},
    text::number,
};

/// A cost against the size of the network, on a logarithmic x axis, beside what theory says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growth {
    /// What grows, in a few words.
    pub title: String,
    /// The quantity and its unit. The axis is logarithmic where the values spread over more than a factor of 100.
    pub y: Axis,
    /// What was measured. At most eight are drawn.
    pub measured: Vec<Measured>,
    /// What theory says.
    pub theory: Vec<Theory>,
    /// How far the fitted curve of each quantity is drawn, in nodes; `None` draws no fit. What has no fit is not drawn.
    pub fit_up_to: Option<f64>,
}

/// One quantity at several sizes of network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Stands beside the last point.
    pub label: String,
    /// The points.
    pub points: Vec<GrowthPoint>,
}

/// A quantity at one size of network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GrowthPoint {
    /// Nodes in the network.
    pub nodes: f64,
    /// Half of all values are at most this.
    pub median: f64,
    /// 95 % of all values are at most this. A bar goes up to here from the median.
    pub p95: f64,
}

/// A curve `a + b·log₂ N`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Theory {
    /// Stands at the curve's end.
    pub label: String,
    /// `a`.
    pub intercept: f64,
    /// `b`.
    pub slope: f64,
}

impl Theory {
    /// Grows by one with each doubling: the hops of a lookup.
    pub fn log2(label: impl Into<String>) -> Self {
        Self { label: label.into(), intercept: 0.0, slope: 1.0 }
    }

    /// Does not grow: what a bystander pays.
    pub fn constant(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), intercept: value, slope: 0.0 }
    }

    /// The value for a network of this size.
    pub fn at(&self, nodes: f64) -> f64 {
        self.intercept + self.slope * nodes.max(1.0).log2()
    }
}

impl GrowthPoint {
    /// Median and p95 of what was measured in a network of this size. Without samples neither is a number, and the point
    /// is left out of the plot.
    pub fn of(nodes: u64, samples: &Samples) -> Self {
        let quantile = |share| samples.quantile(share).unwrap_or(f64::NAN);
        Self { nodes: nodes as f64, median: quantile(0.5), p95: quantile(0.95) }
    }
}

impl Measured {
    /// A quantity and its points.
    pub fn new(label: impl Into<String>, points: Vec<GrowthPoint>) -> Self {
        Self { label: label.into(), points }
    }

    /// Sizes and medians, which a [`Fit`] or a [`Resource`](crate::Resource) takes.
    pub fn medians(&self) -> Vec<(f64, f64)> {
        self.points.iter().map(|point| (point.nodes, point.median)).collect()
    }
}

impl Growth {
    /// Without points.
    pub fn new(title: impl Into<String>, y: Axis) -> Self {
        Self { title: title.into(), y, ..Self::default() }
    }

    /// Adds a quantity.
    pub fn with_measured(mut self, measured: Measured) -> Self {
        self.measured.push(measured);
        self
    }

    /// Adds what theory says.
    pub fn with_theory(mut self, theory: Theory) -> Self {
        self.theory.push(theory);
        self
    }

    /// Draws the fit through the medians, up to a network of this size.
    pub fn with_fit_up_to(mut self, nodes: f64) -> Self {
        self.fit_up_to = Some(nodes);
        self
    }

    /// The picture.
    pub fn plot(&self) -> Plot {
        draw::growth(self)
    }

    /// Its numbers, and the fits.
    pub fn table(&self) -> Table {
        let unit = if self.y.unit.is_empty() { &self.y.label } else { &self.y.unit };
        let mut columns = vec![
            Column::text("quantity"),
            Column::number("nodes"),
            Column::number(format!("median, {unit}")),
            Column::number(format!("p95, {unit}")),
        ];
        let theory = self.theory.iter();
        columns.extend(theory.map(|theory| Column::number(format!("{}, {unit}", theory.label))));
        let mut table = Table::new(&*self.title, columns);
        let mut fits = Vec::new();
        for measured in &self.measured {
            for point in &measured.points {
                let numbers = [point.nodes, point.median, point.p95];
                let theory = self.theory.iter().map(|theory| theory.at(point.nodes));
                let cells = numbers.into_iter().chain(theory).map(number);
                table = table.row(std::iter::once(measured.label.clone()).chain(cells));
            }
            fits.push(match Fit::through(&measured.medians()) {
                Ok(fit) => format!("{}: {}.", measured.label, formula(&fit)),
                Err(why) => format!("{}: no fit, {why}.", measured.label),
            });
        }
        table.with_note(fits.join(" "))
    }
}

/// The curve and how well it fits, in words.
pub(crate) fn formula(fit: &Fit) -> String {
    let sign = if fit.slope < 0.0 { '−' } else { '+' };
    let (intercept, slope) = (number(fit.intercept), number(fit.slope.abs()));
    format!("{intercept} {sign} {slope}·log₂ N, residual {}", number(fit.residual))
}
