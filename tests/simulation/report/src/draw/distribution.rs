use super::{
    Plot,
    canvas::{Canvas, WIDTH},
    frame::{
        Area, EDGE, LINE, draw_flags, heading, left_of_data, level_axis, level_ticks, nothing,
        place_flags, upright_axis, upright_label,
    },
    labels::Flag,
    scale::{LEAST, Scale, is_wide, round_up},
};
use crate::{
    Distribution, Samples,
    text::{number, percent},
};

/// Bars of a histogram, about.
const BARS: f64 = 26.0;
/// Whole numbers up to this range have a bar each.
const WHOLE_RANGE: f64 = 30.0;
/// How high each of the two panels is.
const PANEL: f64 = 128.0;
const TICKS: usize = 4;
const MARKED: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// Where the bars of a histogram meet, and how they are to be read.
struct Bins {
    edges: Vec<f64>,
    is_log: bool,
    whole: bool,
}

impl Bins {
    fn of(samples: &Samples) -> Option<Self> {
        let (low, high) = (samples.min()?, samples.max()?);
        let positive = samples.values().iter().copied().find(|value| *value >= LEAST);
        // A logarithmic axis has no place for a zero, which stands at its left edge then, and for nothing below zero.
        if let Some(least) = positive.filter(|least| low >= 0.0 && is_wide(*least, high)) {
            let decades = (high / least).log10();
            let each = (BARS / decades).round().max(1.0);
            let count = (decades * each).ceil().min(4.0 * BARS);
            let ratio = (high / least).powf(1.0 / count);
            let mut edges: Vec<f64> =
                (0..count as usize).map(|at| least * ratio.powi(at as i32)).collect();
            edges.push(high);
            return Some(Self { edges, is_log: true, whole: false });
        }
        let whole = high - low <= WHOLE_RANGE
            && high.abs() < 1e9
            && samples.values().iter().all(|value| value.fract() == 0.0);
        let (first, step, count) = if whole {
            (low - 0.5, 1.0, high - low + 1.0)
        } else {
            let scale = Scale::linear((low, high), (0.0, 1.0));
            let step = round_up((scale.high - scale.low) / BARS * 0.7);
            let first = (scale.low / step).floor();
            (first * step, step, (scale.high / step).ceil() - first)
        };
        let edges = (0..=count.clamp(1.0, 2.0 * BARS) as usize).map(|at| first + at as f64 * step);
        Some(Self { edges: edges.collect(), is_log: false, whole })
    }

    fn scale(&self, pixels: (f64, f64)) -> Scale {
        let first = self.edges.first().copied().unwrap_or(0.0);
        let last = self.edges.last().copied().unwrap_or(1.0);
        if self.is_log {
            Scale::log((first, last), pixels)
        } else {
            Scale::linear((first, last), pixels)
        }
    }

    /// Each bar's edges and its share of all values. The first and the last hold what lies beyond.
    fn shares(&self, samples: &Samples) -> Vec<(f64, f64, f64)> {
        let last = self.edges.len().saturating_sub(2);
        let bars = self.edges.iter().zip(self.edges.iter().skip(1)).enumerate();
        bars.map(|(at, (from, to))| {
            let low = if at == 0 { f64::NEG_INFINITY } else { *from };
            let high = if at == last { f64::INFINITY } else { *to };
            (*from, *to, samples.between(low, high) as f64 / samples.len() as f64)
        })
        .collect()
    }
}

pub(crate) fn draw(figure: &Distribution) -> Plot {
    let samples = &figure.samples;
    let Some(bins) = Bins::of(samples) else {
        let why = match samples.left_out() {
            0 => String::new(),
            others => format!("{others} values are no numbers"),
        };
        return nothing(&figure.title, &figure.axis.text(), &why);
    };
    let shares = bins.shares(samples);
    let highest = shares.iter().map(|(_, _, share)| share * 100.0).fold(0.0, f64::max);
    // Ends of both panels are not known yet, and the labels do not depend on them.
    let upright = |top: f64, highest: f64| Scale::upright(&[0.0, highest], (top + PANEL, top));
    let left =
        left_of_data(&upright(0.0, highest), TICKS).max(left_of_data(&upright(0.0, 100.0), TICKS));
    let right = WIDTH - EDGE - 4.0;
    let level = bins.scale((left, right));

    let mut canvas = Canvas::default();
    let top = heading(&mut canvas, &figure.title);
    let count = format!("n = {}", number(samples.len() as f64));
    let top = upright_label(&mut canvas, top, "share of all values, %", &count);
    let (flags, below) = place_flags(&quantile_flags(samples, &level), top);
    let bars = Area { left, right, top: below + 4.0, bottom: below + 4.0 + PANEL };
    histogram(&mut canvas, bars, &upright(bars.top, highest), &level, &shares);
    draw_flags(&mut canvas, &flags, top, bars.bottom);

    let top =
        upright_label(&mut canvas, bars.bottom + LINE / 2.0, "share that is at most this, %", "");
    let curve = Area { left, right, top: top + 4.0, bottom: top + 4.0 + PANEL };
    cumulative(&mut canvas, curve, &level, samples, &flags);
    let label = figure.axis.text() + &remark(samples, &bins);
    let ticks = level_ticks(&level, bins.whole);
    let height = level_axis(&mut canvas, curve, &ticks, &level, &label);
    canvas.finish(&figure.title, describe(figure), height)
}

/// What the level axis hides.
fn remark(samples: &Samples, bins: &Bins) -> String {
    let mut remark = String::new();
    if bins.is_log {
        remark += ", log scale";
        let zeros = samples.between(f64::NEG_INFINITY, LEAST);
        if zeros > 0 {
            remark += &format!("; {zeros} zeros stand at the left edge");
        }
    }
    remark
}

fn quantile_flags(samples: &Samples, level: &Scale) -> Vec<(f64, String)> {
    let mut flags: Vec<(f64, String, String)> = Vec::new();
    for (name, share) in MARKED {
        let Some(value) = samples.quantile(share) else { continue };
        let (x, said) = (level.place(value), number(value));
        match flags.last_mut() {
            Some((_, names, last)) if *last == said => *names = format!("{names}, {name}"),
            _ => flags.push((x, name.into(), said)),
        }
    }
    flags.into_iter().map(|(x, names, said)| (x, format!("{names}: {said}"))).collect()
}

fn histogram(
    canvas: &mut Canvas,
    area: Area,
    upright: &Scale,
    level: &Scale,
    shares: &[(f64, f64, f64)],
) {
    upright_axis(canvas, area, upright, TICKS);
    for (from, to, share) in shares.iter().filter(|(_, _, share)| *share > 0.0) {
        let (left, right) = (level.place(*from), level.place(*to));
        let gap = ((right - left) * 0.12).min(3.0) / 2.0;
        // What is there can be seen, however rare it is.
        let top = upright.place(share * 100.0).min(area.bottom - 1.0);
        let said = format!("{} to {}: {}", number(*from), number(*to), percent(*share));
        canvas.rect("bar f0", (left + gap, top), (right - gap, area.bottom), &said);
    }
    canvas.line("axis", (area.left, area.bottom), (area.right, area.bottom));
}

fn cumulative(canvas: &mut Canvas, area: Area, level: &Scale, samples: &Samples, flags: &[Flag]) {
    let upright = Scale::upright(&[0.0, 100.0], (area.bottom, area.top));
    upright_axis(canvas, area, &upright, TICKS);
    for flag in flags {
        canvas.line("mark", (flag.x, area.top), (flag.x, area.bottom));
    }
    let mut points = vec![(area.left, area.bottom)];
    let (mut last_x, mut last_y) = (f64::NEG_INFINITY, area.bottom);
    for (at, value) in samples.values().iter().enumerate() {
        let is_last_of_value = samples.values().get(at + 1).is_none_or(|next| next > value);
        let x = level.place(*value);
        let is_end = at + 1 == samples.len();
        // Steps that no eye can tell apart are one.
        if !is_last_of_value || (x - last_x < 0.4 && !is_end) {
            continue;
        }
        let y = upright.place((at + 1) as f64 / samples.len() as f64 * 100.0);
        points.extend([(x, last_y), (x, y)]);
        (last_x, last_y) = (x, y);
    }
    points.push((area.right, last_y));
    canvas.path("line l0", &[points]);
    for (name, share) in MARKED {
        let Some(value) = samples.quantile(share) else { continue };
        let place = (level.place(value), upright.place(share * 100.0));
        canvas.circle("f0", place, 3.0, &format!("{name}: {}", number(value)));
    }
}

fn describe(figure: &Distribution) -> String {
    let samples = &figure.samples;
    let value = |value: Option<f64>| value.map_or_else(String::new, number);
    format!(
        "Histogram and cumulative curve of {} values of {}, from {} to {}. Half are at most {}, 95 % at most {}, 99 % at \
         most {}.",
        number(samples.len() as f64),
        figure.axis.text(),
        value(samples.min()),
        value(samples.max()),
        value(samples.quantile(0.5)),
        value(samples.quantile(0.95)),
        value(samples.quantile(0.99)),
    )
}
