use crate::{
    draw::Plot,
    style::{TEXT, TITLE_WIDTH},
    text::{escape, width},
};

/// Every picture is this wide: on a phone its letters can still be read.
pub(super) const WIDTH: f64 = 460.0;

/// Which point of a text its place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Collects the elements of a picture.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    body: String,
    #[cfg(test)]
    texts: Vec<(String, [f64; 4])>,
}

/// A coordinate with one decimal, without a trailing zero.
pub(super) fn px(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0 + 0.0;
    format!("{rounded}")
}

/// Where a text begins and ends.
pub(super) fn extent(x: f64, anchor: Anchor, text: &str, size: f64) -> (f64, f64) {
    let wide = width(text, size);
    let left = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - wide / 2.0,
        Anchor::End => x - wide,
    };
    (left, left + wide)
}

impl Canvas {
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(px);
        self.body +=
            &format!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n");
    }

    /// A rectangle from its upper left to its lower right corner, and what is said when one points at it.
    pub(super) fn rect(&mut self, class: &str, from: (f64, f64), to: (f64, f64), said: &str) {
        let [x, y, wide, high] =
            [from.0, from.1, (to.0 - from.0).max(0.0), (to.1 - from.1).max(0.0)].map(px);
        let shape = format!(
            "rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\""
        );
        self.spoken("rect", &shape, said);
    }

    pub(super) fn circle(&mut self, class: &str, at: (f64, f64), radius: f64, said: &str) {
        let [x, y, radius] = [at.0, at.1, radius].map(px);
        self.spoken(
            "circle",
            &format!("circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""),
            said,
        );
    }

    fn spoken(&mut self, name: &str, element: &str, said: &str) {
        self.body += &match said {
            "" => format!("<{element}/>\n"),
            said => format!("<{element}><title>{}</title></{name}>\n", escape(said)),
        };
    }

    /// Lines between points. Each run of points is a line of its own.
    pub(super) fn path(&mut self, class: &str, runs: &[Vec<(f64, f64)>]) {
        let mut shape = String::new();
        for run in runs {
            for (at, (x, y)) in run.iter().enumerate() {
                let letter = if at == 0 { 'M' } else { 'L' };
                shape += &format!("{letter}{} {}", px(*x), px(*y));
            }
            // A lone point is seen because the line's ends are round.
            if let [(x, y)] = run.as_slice() {
                shape += &format!("L{} {}", px(*x), px(*y));
            }
        }
        if !shape.is_empty() {
            self.body += &format!("<path class=\"{class}\" d=\"{shape}\"/>\n");
        }
    }

    pub(super) fn title(&mut self, at: (f64, f64), text: &str) {
        self.sized("title", at, Anchor::Start, text, TITLE_WIDTH);
    }

    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        self.sized(class, at, anchor, text, TEXT);
    }

    fn sized(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str, size: f64) {
        if text.is_empty() {
            return;
        }
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let anchored = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let [x, y] = [at.0, at.1].map(px);
        let escaped = escape(text);
        self.body += &format!("<text{class} x=\"{x}\" y=\"{y}\"{anchored}>{escaped}</text>\n");
        #[cfg(test)]
        {
            let (left, right) = extent(at.0, anchor, text, size);
            let area = [left, at.1 - size * 0.78, right, at.1 + size * 0.22];
            self.texts.push((text.into(), area));
        }
        #[cfg(not(test))]
        let _ = size;
    }

    pub(super) fn finish(self, title: &str, description: String, height: f64) -> Plot {
        Plot {
            title: title.into(),
            description,
            width: WIDTH,
            height: height.ceil(),
            body: self.body,
            #[cfg(test)]
            texts: self.texts,
        }
    }
}
