use super::{
    Plot,
    canvas::{Canvas, WIDTH},
    frame::{
        Area, EndLabel, draw_flags, end_labels, heading, label_margin, left_of_data, level_axis,
        level_ticks, nothing, place_flags, upright_axis, upright_label,
    },
    labels::MOST_FLAGS,
    scale::{Scale, range},
};
use crate::{Line, LineKind, TimeSeries, samples::drawable, style::LINES, text::number};

const HEIGHT: f64 = 208.0;
const TICKS: usize = 5;
/// Points of a line that are drawn one by one. Of more, what the eye can tell apart.
const ALL_POINTS: usize = 600;

/// A line as it is drawn.
struct Drawn<'a> {
    line: &'a Line,
    /// Runs without a gap.
    runs: Vec<Vec<(f64, f64)>>,
    class: String,
    label_class: String,
}

pub(crate) fn draw(figure: &TimeSeries) -> Plot {
    let lines = drawn(figure);
    let points = || lines.iter().flat_map(|line| line.runs.iter().flatten().copied());
    let Some(span) = range(points().map(|(x, _)| x)) else {
        return nothing(&figure.title, &figure.y.text(), "");
    };
    // Zero among the values keeps the axis linear, and starts it there.
    let values: Vec<f64> = points().map(|(_, y)| y).chain([0.0]).collect();
    let left = left_of_data(&Scale::upright(&values, (1.0, 0.0)), TICKS);
    let right = WIDTH - label_margin(lines.iter().map(|line| &*line.line.label));
    let level = Scale::linear(span, (left, right));

    let mut canvas = Canvas::default();
    let top = heading(&mut canvas, &figure.title);
    let aside = match figure.lines.len().saturating_sub(LINES) {
        0 => String::new(),
        more => format!("{more} more lines are not drawn"),
    };
    let top = upright_label(&mut canvas, top, &figure.y.text(), &aside);
    let marks = figure.marks.iter().filter(|mark| mark.at >= span.0 && mark.at <= span.1);
    let wanted: Vec<(f64, String)> =
        marks.take(MOST_FLAGS).map(|mark| (level.place(mark.at), short(&mark.label))).collect();
    let (flags, below) = place_flags(&wanted, top);
    let area = Area { left, right, top: below + 6.0, bottom: below + 6.0 + HEIGHT };
    let upright = Scale::upright(&values, (area.bottom, area.top));
    upright_axis(&mut canvas, area, &upright, TICKS);
    draw_flags(&mut canvas, &flags, top, area.bottom);
    let mut labels = Vec::new();
    // A thin dashed line is seen on top of a thick one, and not below it.
    let (theory, measured): (Vec<&Drawn<'_>>, Vec<&Drawn<'_>>) =
        lines.iter().partition(|line| line.line.kind == LineKind::Theory);
    for line in measured.into_iter().chain(theory) {
        let place = |(x, y): &(f64, f64)| (level.place(*x), upright.place(*y));
        let runs: Vec<Vec<(f64, f64)>> =
            line.runs.iter().map(|run| thinned(run.iter().map(place).collect())).collect();
        canvas.path(&line.class, &runs);
        if let Some(end) = runs.iter().rev().find_map(|run| run.last()) {
            labels.push(EndLabel::new(&line.label_class, &line.line.label, *end));
        }
    }
    end_labels(&mut canvas, area, &labels);
    let ticks = level_ticks(&level, false);
    let height = level_axis(&mut canvas, area, &ticks, &level, &figure.x.text());
    canvas.finish(&figure.title, describe(figure, &lines), height)
}

/// Marks are short words; a long one keeps its beginning.
fn short(label: &str) -> String {
    crate::text::wrap(label, crate::style::TEXT, 180.0, 1).pop().unwrap_or_default()
}

fn drawn(figure: &TimeSeries) -> Vec<Drawn<'_>> {
    let mut colour = 0;
    let lines = figure.lines.iter().take(LINES).map(|line| {
        let (class, label_class) = match line.kind {
            LineKind::Theory => ("theory".to_owned(), String::new()),
            LineKind::Measured => {
                colour += 1;
                (format!("line l{}", colour - 1), format!("f{}", colour - 1))
            }
        };
        let is_there = |(x, y): &(f64, f64)| drawable(*x) && drawable(*y);
        let runs = line.points.split(|point| !is_there(point)).filter(|run| !run.is_empty());
        Drawn { line, runs: runs.map(<[_]>::to_vec).collect(), class, label_class }
    });
    lines.collect()
}

/// The lowest and the highest of each column of pixels, in the order that they come in.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= ALL_POINTS {
        return points;
    }
    let mut thin = Vec::new();
    for column in points.chunk_by(|one, other| one.0.floor() == other.0.floor()) {
        let by_height = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
        let ends = [
            column.first(),
            column.iter().min_by(by_height),
            column.iter().max_by(by_height),
            column.last(),
        ];
        let mut kept: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        kept.sort_by(|one, other| one.0.total_cmp(&other.0));
        kept.dedup();
        thin.extend(kept);
    }
    thin
}

fn describe(figure: &TimeSeries, lines: &[Drawn<'_>]) -> String {
    let mut said = format!("{} over {}.", figure.y.text(), figure.x.text());
    for line in lines {
        let points = || line.runs.iter().flatten();
        if let (Some((_, first)), Some((_, last))) = (points().next(), points().last()) {
            let label = &line.line.label;
            said += &format!(" {label}: from {} to {}.", number(*first), number(*last));
        }
    }
    said
}
