//! Plain data becomes a picture. Each kind of picture is a file; they share the canvas, the axes, and the way labels keep
//! out of each other's way.

mod canvas;
mod distribution;
mod frame;
mod growth;
mod labels;
mod scale;
mod series;

#[cfg(test)]
mod tests;

pub(crate) use distribution::draw as distribution;
pub(crate) use growth::draw as growth;
pub(crate) use series::draw as series;

use std::fmt;

use crate::{style, text::escape};

/// A finished picture.
#[derive(Clone, PartialEq)]
pub struct Plot {
    title: String,
    /// What it shows, in words, for those who do not see it.
    description: String,
    width: f64,
    height: f64,
    body: String,
    /// Where texts stand: left, top, right, bottom.
    #[cfg(test)]
    texts: Vec<(String, [f64; 4])>,
}

impl fmt::Debug for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plot").field("title", &self.title).finish_non_exhaustive()
    }
}

impl Plot {
    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// A name for a file that holds it: the title in lower case, with dashes, and `.svg`.
    pub fn file_name(&self) -> String {
        let words = self.title.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<String> =
            words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
        if words.is_empty() { "plot.svg".into() } else { words.join("-") + ".svg" }
    }

    /// A file of its own, with its own colours for light and dark.
    pub fn to_svg(&self) -> String {
        let (width, height) = (self.width, self.height);
        let style = format!("<style>\n{}</style>\n", style::of_plots());
        let surface =
            format!("<rect class=\"surface\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n");
        let size = format!(" width=\"{width}\" height=\"{height}\"");
        self.element("plot", &size, &(style + &surface))
    }

    /// An element of a page that holds the rules of plots already. `id` is its own in that page.
    pub(crate) fn inline(&self, id: &str) -> String {
        self.element(id, "", "")
    }

    fn element(&self, id: &str, size: &str, before: &str) -> String {
        let Self { width, height, body, .. } = self;
        let (title, description) = (escape(&self.title), escape(&self.description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {width} {height}\"{size} role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{title}</title>\n\
             <desc id=\"{id}-desc\">{description}</desc>\n{before}{body}</svg>\n"
        )
    }
}
