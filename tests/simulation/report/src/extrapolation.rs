use crate::{
    Axis, Fit, NoFit,
    growth::formula,
    table::{Column, Table},
    text::number,
};

/// What a node of a larger network pays, on paper: the fit `a + b·log₂ N` through what was measured, followed further. What
/// has no fit is not extrapolated, and the table says why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extrapolation {
    /// What the table shows.
    pub title: String,
    /// Nodes of the network on paper.
    pub nodes: f64,
    /// Packages of the network on paper.
    pub packages: f64,
    /// What a node pays with.
    pub resources: Vec<Resource>,
}

/// Something that a node pays with.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The quantity and its unit.
    pub quantity: Axis,
    /// Points `(nodes, value)` that were measured.
    pub points: Vec<(f64, f64)>,
    /// What the fitted value is multiplied by, for instance because the measured network held fewer packages for each
    /// node.
    pub times: f64,
    /// Why it is multiplied; empty if it is not.
    pub because: String,
}

impl Resource {
    /// A quantity as it was measured.
    pub fn new(quantity: Axis, points: Vec<(f64, f64)>) -> Self {
        Self { quantity, points, times: 1.0, because: String::new() }
    }

    /// The value on paper is the fitted one times this, and why.
    pub fn multiplied(mut self, times: f64, because: impl Into<String>) -> Self {
        self.times = times;
        self.because = because.into();
        self
    }

    /// The fit, and the value in a network of this size.
    pub fn at(&self, nodes: f64) -> Result<(Fit, f64), NoFit> {
        let fit = Fit::through(&self.points)?;
        Ok((fit, fit.at(nodes)? * self.times))
    }
}

impl Extrapolation {
    /// A network on paper.
    pub fn new(title: impl Into<String>, nodes: f64, packages: f64) -> Self {
        Self { title: title.into(), nodes, packages, resources: Vec::new() }
    }

    /// Adds what a node pays with.
    pub fn with_resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// The table: what was measured, the fit and its residual, and the value on paper.
    pub fn table(&self) -> Table {
        let columns = [
            Column::text("each node"),
            Column::text("measured, nodes"),
            Column::text("fit"),
            Column::text("multiplied"),
            Column::number(format!("at {} nodes", number(self.nodes))),
        ];
        let mut table = Table::new(&*self.title, columns).with_note(format!(
            "A network of {} nodes and {} packages. None of that size was run: this is a + b·log₂ N, least squares \
             through the measured points, followed beyond them. The residual is in the unit of its row.",
            number(self.nodes),
            number(self.packages),
        ));
        for resource in &self.resources {
            let times = match resource.times {
                1.0 => String::new(),
                times => format!("× {}: {}", number(times), resource.because),
            };
            let quantity = resource.quantity.text();
            table = table.row(match resource.at(self.nodes) {
                Ok((fit, value)) => {
                    let sizes = format!("{} to {}", number(fit.smallest), number(fit.largest));
                    [quantity, sizes, formula(&fit), times, number(value)]
                }
                Err(why) => {
                    let [none, dash] = [format!("no fit: {why}"), "–".to_owned()];
                    [quantity, dash, none, times, "not extrapolated".into()]
                }
            });
        }
        table
    }
}
