//! What stands around the data: title, axes, labels at the ends of lines, and flags above.

use super::{
    Plot,
    canvas::{Anchor, Canvas, WIDTH, extent},
    labels::{Flag, flags, spread},
    scale::{Scale, Tick},
};
use crate::{
    style::{TEXT, TITLE, TITLE_WIDTH},
    text::{width, wrap},
};

/// Around the whole picture.
pub(super) const EDGE: f64 = 14.0;
/// From one line of text to the next.
pub(super) const LINE: f64 = 16.0;
/// Labels at the ends of lines are broken at this width.
const LABEL_ROOM: f64 = 112.0;
/// From the end of a line to its label.
const LABEL_GAP: f64 = 8.0;

/// Where the data stand, in pixels from the upper left corner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// The label of a line, which stands to the right of all data.
#[derive(Clone, Debug)]
pub(super) struct EndLabel {
    pub(super) class: String,
    pub(super) lines: Vec<String>,
    /// The line's last point.
    pub(super) end: (f64, f64),
}

/// Writes the title, and says where it ends.
pub(super) fn heading(canvas: &mut Canvas, title: &str) -> f64 {
    let mut y = EDGE;
    for line in wrap(title, TITLE_WIDTH, WIDTH - 2.0 * EDGE, 2) {
        y += TITLE;
        canvas.title((EDGE, y), &line);
        y += 4.0;
    }
    y + 4.0
}

/// Writes what the upright axis shows, above it, and says where that ends. `aside` stands at the other end of the line, if
/// there is room.
pub(super) fn upright_label(canvas: &mut Canvas, top: f64, label: &str, aside: &str) -> f64 {
    let room = WIDTH - 2.0 * EDGE - width(aside, TEXT) - 12.0;
    let (room, aside) =
        if room < width(label, TEXT).min(160.0) { (WIDTH - 2.0 * EDGE, "") } else { (room, aside) };
    let lines = wrap(label, TEXT, room, 2);
    for (at, line) in lines.iter().enumerate() {
        canvas.text("", (EDGE, top + TEXT + at as f64 * LINE), Anchor::Start, line);
    }
    canvas.text("", (WIDTH - EDGE, top + TEXT), Anchor::End, aside);
    top + lines.len().max(usize::from(!aside.is_empty())) as f64 * LINE + 6.0
}

/// Where the data begin, to the right of the labels of the ticks.
pub(super) fn left_of_data(scale: &Scale, most: usize) -> f64 {
    let widest = scale.ticks(most).iter().map(|tick| width(&tick.label, TEXT)).fold(0.0, f64::max);
    (EDGE + widest + 8.0).max(EDGE + 24.0)
}

/// A thin line at each tick of the upright axis, and its label.
pub(super) fn upright_axis(canvas: &mut Canvas, area: Area, scale: &Scale, most: usize) {
    for tick in scale.ticks(most) {
        let y = scale.place(tick.at);
        canvas.line("grid", (area.left, y), (area.right, y));
        canvas.text("", (area.left - 8.0, y + 4.0), Anchor::End, &tick.label);
    }
}

/// The lower edge with its ticks and what it shows. Says where the picture ends.
pub(super) fn level_axis(
    canvas: &mut Canvas,
    area: Area,
    ticks: &[Tick],
    scale: &Scale,
    label: &str,
) -> f64 {
    canvas.line("axis", (area.left, area.bottom), (area.right, area.bottom));
    for tick in ticks {
        let x = scale.place(tick.at);
        canvas.line("axis", (x, area.bottom), (x, area.bottom + 4.0));
        let at = (beneath(x, &tick.label), area.bottom + 6.0 + TEXT);
        canvas.text("", at, Anchor::Middle, &tick.label);
    }
    let mut y = area.bottom + 8.0 + TEXT;
    for line in wrap(label, TEXT, WIDTH - 2.0 * EDGE, 2) {
        y += LINE;
        let x = beneath(f64::midpoint(area.left, area.right), &line);
        canvas.text("", (x, y), Anchor::Middle, &line);
    }
    y + EDGE - 2.0
}

/// The middle of a text that is to stand beneath `x`, and inside the picture.
fn beneath(x: f64, text: &str) -> f64 {
    let half = width(text, TEXT) / 2.0 + 3.0;
    x.min(WIDTH - half).max(half)
}

/// As many ticks as stand side by side.
pub(super) fn level_ticks(scale: &Scale, whole: bool) -> Vec<Tick> {
    let chosen = |most| {
        let mut ticks = scale.ticks(most);
        ticks.retain(|tick: &Tick| !whole || tick.at.fract() == 0.0);
        ticks
    };
    let reaches = |tick: &Tick| {
        extent(beneath(scale.place(tick.at), &tick.label), Anchor::Middle, &tick.label, TEXT)
    };
    let fits = |ticks: &[Tick]| {
        let mut ends = ticks.iter().map(reaches);
        let mut last = ends.next().map_or(0.0, |(_, right)| right);
        ends.all(|(left, right)| left > std::mem::replace(&mut last, right) + 8.0)
    };
    (2..=9)
        .rev()
        .map(chosen)
        .find(|ticks| fits(ticks))
        .unwrap_or_else(|| chosen(2).into_iter().take(1).collect())
}

impl EndLabel {
    pub(super) fn new(class: &str, label: &str, end: (f64, f64)) -> Self {
        Self { class: class.into(), lines: wrap(label, TEXT, LABEL_ROOM, 2), end }
    }
}

/// Room that labels need to the right of the data.
pub(super) fn label_margin<'a>(labels: impl IntoIterator<Item = &'a str>) -> f64 {
    let lines = labels.into_iter().flat_map(|label| wrap(label, TEXT, LABEL_ROOM, 2));
    let widest = lines.map(|line| width(&line, TEXT)).fold(0.0, f64::max);
    EDGE.max(widest + LABEL_GAP + 6.0)
}

/// Writes labels beside the ends of their lines. A thin line leads to one that had to move away.
pub(super) fn end_labels(canvas: &mut Canvas, area: Area, labels: &[EndLabel]) {
    let wishes: Vec<(f64, f64)> =
        labels.iter().map(|label| (label.end.1, label.lines.len() as f64 * LINE)).collect();
    let places = spread(&wishes, area.top - 8.0, area.bottom + 8.0);
    for (label, middle) in labels.iter().zip(places) {
        let x = area.right + LABEL_GAP;
        let ((end_x, end_y), count) = (label.end, label.lines.len() as f64);
        if count > 0.0 && ((middle - end_y).abs() > 10.0 || area.right - end_x > 12.0) {
            canvas.line("lead", (end_x + 4.0, end_y), (x - 3.0, middle));
        }
        for (at, line) in label.lines.iter().enumerate() {
            let y = middle + 4.0 + (at as f64 - (count - 1.0) / 2.0) * LINE;
            canvas.text(&label.class, (x, y), Anchor::Start, line);
        }
    }
}

/// Flags above the data, where each marks a place of the level axis. Says where they end.
pub(super) fn place_flags(wanted: &[(f64, String)], top: f64) -> (Vec<Flag>, f64) {
    let placed = flags(wanted, EDGE, WIDTH - EDGE);
    let rows = placed.iter().map(|flag| flag.row + 1).max().unwrap_or(0);
    (placed, top + rows as f64 * LINE)
}

/// Draws them, with their lines down to `bottom`.
pub(super) fn draw_flags(canvas: &mut Canvas, placed: &[Flag], top: f64, bottom: f64) {
    for flag in placed {
        let row = top + flag.row as f64 * LINE;
        canvas.line("mark", (flag.x, row), (flag.x, bottom));
        canvas.text("", (flag.text_x(), row + TEXT - 1.0), flag.anchor, &flag.text);
    }
}

/// A picture that honestly shows nothing.
pub(super) fn nothing(title: &str, label: &str, why: &str) -> Plot {
    let mut canvas = Canvas::default();
    let top = heading(&mut canvas, title);
    let top = upright_label(&mut canvas, top, label, "");
    let (right, bottom) = (WIDTH - EDGE, top + 120.0);
    canvas.rect("band", (EDGE, top), (right, bottom), "");
    let said = if why.is_empty() { "no data".to_owned() } else { format!("no data: {why}") };
    let middle = (WIDTH / 2.0, f64::midpoint(top, bottom) + 4.0);
    canvas.text("", middle, Anchor::Middle, &said);
    canvas.finish(title, said, bottom + EDGE)
}
