use super::{
    Plot,
    canvas::{Anchor, Canvas, WIDTH},
    frame::{
        Area, EndLabel, LINE, end_labels, heading, label_margin, left_of_data, level_axis,
        level_ticks, nothing, upright_axis, upright_label,
    },
    scale::{Scale, range},
};
use crate::{
    Fit, Growth, GrowthPoint, Measured, samples::drawable, style::LINES, style::TEXT, text::number,
    text::width,
};

const HEIGHT: f64 = 224.0;
const TICKS: usize = 5;
/// Points of several quantities at the same size stand this far apart.
const ASIDE: f64 = 6.0;
/// Straight pieces of a curve.
const PIECES: usize = 24;

/// A quantity as it is drawn.
struct Drawn<'a> {
    measured: &'a Measured,
    /// By size.
    points: Vec<GrowthPoint>,
    fit: Option<Fit>,
    colour: usize,
    aside: f64,
}

/// Both axes, and how far they go.
struct Axes {
    area: Area,
    level: Scale,
    upright: Scale,
}

impl Axes {
    fn place(&self, nodes: f64, value: f64) -> (f64, f64) {
        (self.level.place(nodes), self.upright.place(value))
    }

    /// A curve from `from` to `to` nodes.
    fn curve(&self, from: f64, to: f64, value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let ratio = to / from;
        let points = (0..=PIECES).map(|at| {
            let nodes = from * ratio.powf(at as f64 / PIECES as f64);
            (nodes, value(nodes))
        });
        let shown = points.filter(|(_, value)| !self.upright.is_log || *value > 0.0);
        shown.map(|(nodes, value)| self.place(nodes, value)).collect()
    }
}

pub(crate) fn draw(figure: &Growth) -> Plot {
    let drawn = drawn(figure);
    let sizes = || drawn.iter().flat_map(|drawn| drawn.points.iter().map(|point| point.nodes));
    let Some((smallest, largest)) = range(sizes()) else {
        return nothing(&figure.title, &figure.y.text(), "");
    };
    let is_fitted = drawn.iter().any(|drawn| drawn.fit.is_some());
    let up_to = figure.fit_up_to.filter(|up_to| is_fitted && drawable(*up_to)).unwrap_or(largest);
    let (from, to) = (smallest, up_to.max(largest));
    let pad = (to / from).powf(0.04).max(1.1);
    let ends = ((from / pad).max(1.0), to * pad);
    let values = values(figure, &drawn, (ends.0, to));
    let left = left_of_data(&Scale::upright(&values, (1.0, 0.0)), TICKS);
    let right = WIDTH - label_margin(labels(figure, &drawn));

    let mut canvas = Canvas::default();
    let top = heading(&mut canvas, &figure.title);
    let mut label = format!("{}: median, bar up to p95", figure.y.text());
    if Scale::upright(&values, (1.0, 0.0)).is_log {
        label += ", log scale";
    }
    let top = upright_label(&mut canvas, top, &label, "") + 6.0;
    let area = Area { left, right, top, bottom: top + HEIGHT };
    let axes = Axes {
        area,
        level: Scale::log(ends, (left, right)),
        upright: Scale::upright(&values, (area.bottom, area.top)),
    };
    if to > largest {
        not_measured(&mut canvas, &axes, largest * pad);
    }
    upright_axis(&mut canvas, area, &axes.upright, TICKS);
    let mut labels = theory(&mut canvas, figure, &axes, to);
    for drawn in &drawn {
        labels.extend(quantity(&mut canvas, drawn, &axes, to));
    }
    end_labels(&mut canvas, area, &labels);
    let ticks = level_ticks(&axes.level, false);
    let label = "nodes in the network, log scale";
    let height = level_axis(&mut canvas, area, &ticks, &axes.level, label);
    canvas.finish(&figure.title, describe(figure, &drawn), height)
}

fn drawn(figure: &Growth) -> Vec<Drawn<'_>> {
    let is_there =
        |point: &GrowthPoint| drawable(point.nodes) && point.nodes >= 1.0 && drawable(point.median);
    let count = figure.measured.len().min(LINES);
    let quantities = figure.measured.iter().take(LINES).enumerate().map(|(colour, measured)| {
        let mut points: Vec<GrowthPoint> =
            measured.points.iter().copied().filter(is_there).collect();
        points.sort_by(|one, other| one.nodes.total_cmp(&other.nodes));
        let fit = figure.fit_up_to.and_then(|up_to| {
            Fit::through(&measured.medians()).ok().filter(|fit| fit.at(up_to).is_ok())
        });
        let aside = (colour as f64 - (count as f64 - 1.0) / 2.0) * ASIDE;
        Drawn { measured, points, fit, colour, aside }
    });
    quantities.filter(|drawn| !drawn.points.is_empty()).collect()
}

fn labels<'a>(figure: &'a Growth, drawn: &'a [Drawn<'_>]) -> impl Iterator<Item = &'a str> {
    let theory = figure.theory.iter().map(|theory| &*theory.label);
    theory.chain(drawn.iter().map(|drawn| &*drawn.measured.label))
}

/// Every value that is to have a place.
fn values(figure: &Growth, drawn: &[Drawn<'_>], (from, to): (f64, f64)) -> Vec<f64> {
    let mut values = Vec::new();
    for drawn in drawn {
        values.extend(drawn.points.iter().flat_map(|point| [point.median, point.p95]));
        values.extend(drawn.fit.iter().flat_map(|fit| [fit.curve(fit.smallest), fit.curve(to)]));
    }
    values.extend(figure.theory.iter().flat_map(|theory| [theory.at(from), theory.at(to)]));
    values.retain(|value| drawable(*value));
    values
}

/// Sets apart what lies beyond the largest network that was run.
fn not_measured(canvas: &mut Canvas, axes: &Axes, from: f64) {
    let (left, right) = (axes.level.place(from), axes.area.right);
    canvas.rect("band", (left, axes.area.top), (right, axes.area.bottom), "not measured");
    let said = "not measured";
    if right - left > width(said, TEXT) + 8.0 {
        let at = (f64::midpoint(left, right), axes.area.bottom - LINE / 2.0);
        canvas.text("", at, Anchor::Middle, said);
    }
}

fn theory(canvas: &mut Canvas, figure: &Growth, axes: &Axes, to: f64) -> Vec<EndLabel> {
    let from = axes.level.low;
    let curves =
        figure.theory.iter().filter(|theory| drawable(theory.at(from)) && drawable(theory.at(to)));
    let mut labels = Vec::new();
    for theory in curves {
        let curve = axes.curve(from, to, |nodes| theory.at(nodes));
        if let Some(end) = curve.last().copied() {
            labels.push(EndLabel::new("", &theory.label, end));
        }
        canvas.path("theory", &[curve]);
    }
    labels
}

fn quantity(canvas: &mut Canvas, drawn: &Drawn<'_>, axes: &Axes, to: f64) -> Option<EndLabel> {
    let (line, fill) = (format!("l{}", drawn.colour), format!("f{}", drawn.colour));
    let place = |nodes: f64, value: f64| {
        let (x, y) = axes.place(nodes, value);
        (x + drawn.aside, y)
    };
    let last = drawn.points.last()?;
    let mut end = place(last.nodes, last.median);
    if let Some(fit) = &drawn.fit {
        let curve = axes.curve(fit.smallest, to, |nodes| fit.curve(nodes));
        end = curve.last().copied().unwrap_or(end);
        canvas.path(&format!("fit {line}"), &[curve]);
        if to > fit.largest {
            let said = format!("{} nodes, by the fit: {}", number(to), number(fit.curve(to)));
            canvas.circle(&format!("ring {line}"), end, 3.5, &said);
        }
    } else {
        let medians = drawn.points.iter().map(|point| place(point.nodes, point.median));
        canvas.path(&format!("line {line}"), &[medians.collect()]);
    }
    for point in &drawn.points {
        let (nodes, median) = (number(point.nodes), number(point.median));
        let mut said = format!("{nodes} nodes: median {median}");
        let (x, y) = place(point.nodes, point.median);
        if drawable(point.p95) {
            said += &format!(", p95 {}", number(point.p95));
            let (_, top) = place(point.nodes, point.p95);
            canvas.line(&line, (x, y), (x, top));
            canvas.line(&line, (x - 4.0, top), (x + 4.0, top));
        }
        canvas.circle(&fill, (x, y), 3.5, &said);
    }
    Some(EndLabel::new(&fill, &drawn.measured.label, end))
}

fn describe(figure: &Growth, drawn: &[Drawn<'_>]) -> String {
    let mut said = format!("{} against the number of nodes.", figure.y.text());
    for drawn in drawn {
        said += &format!(" {}:", drawn.measured.label);
        let points = drawn.points.iter().map(|point| {
            format!(" median {} at {} nodes", number(point.median), number(point.nodes))
        });
        said += &points.collect::<Vec<_>>().join(",");
        said.push('.');
    }
    said
}
