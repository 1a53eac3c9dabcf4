use crate::{
    Distribution, Extrapolation, Growth, Plot, Run, Table, TimeSeries, run, style, text::escape,
};

/// The whole page.
#[derive(Clone, Debug, Default)]
pub struct Report {
    title: String,
    notice: String,
    runs: Vec<Run>,
    sections: Vec<Section>,
}

/// A part of the page with a heading of its own.
#[derive(Clone, Debug, Default)]
pub struct Section {
    title: String,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
enum Block {
    Text(String),
    Command(String),
    Table(Table),
    Figure(Box<(Plot, Table)>),
}

impl Section {
    /// A heading.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Adds text. An empty line begins a new paragraph.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(Block::Text(text.into()))
    }

    /// Adds text that a reader copies into a shell.
    pub fn command(self, command: impl Into<String>) -> Self {
        self.with(Block::Command(command.into()))
    }

    /// Adds a table.
    pub fn table(self, table: Table) -> Self {
        self.with(Block::Table(table))
    }

    /// Adds a distribution: its plot, and its numbers beside it.
    pub fn distribution(self, figure: &Distribution) -> Self {
        self.with(Block::Figure(Box::new((figure.plot(), figure.table()))))
    }

    /// Adds values over time: their plot, and their numbers beside it.
    pub fn series(self, figure: &TimeSeries) -> Self {
        self.with(Block::Figure(Box::new((figure.plot(), figure.table()))))
    }

    /// Adds a cost against the size of the network: its plot, and its numbers beside it.
    pub fn growth(self, figure: &Growth) -> Self {
        self.with(Block::Figure(Box::new((figure.plot(), figure.table()))))
    }

    /// Adds what a larger network costs on paper.
    pub fn extrapolation(self, paper: &Extrapolation) -> Self {
        self.with(Block::Table(paper.table()))
    }
}

impl Block {
    /// `id` is the block's own in the page.
    fn to_html(&self, id: &str) -> String {
        match self {
            Self::Text(text) => paragraphs(text),
            Self::Command(command) => format!("<pre><code>{}</code></pre>\n", escape(command)),
            Self::Table(table) => table.to_html(),
            Self::Figure(figure) => {
                let (plot, table) = figure.as_ref();
                format!("<div class=\"figure\">\n{}{}</div>\n", plot.inline(id), table.to_html())
            }
        }
    }
}

fn paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    paragraphs.map(|text| format!("<p>{}</p>\n", escape(text))).collect()
}

impl Report {
    /// A page with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// What a reader must know before all else, set apart below the title.
    pub fn with_notice(mut self, notice: impl Into<String>) -> Self {
        self.notice = notice.into();
        self
    }

    /// Adds a run. All runs together are summed up at the top.
    pub fn run(mut self, run: Run) -> Self {
        self.runs.push(run);
        self
    }

    /// Adds a section.
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// Every plot of the page, in its order.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
            Block::Figure(figure) => Some(&figure.0),
            _ => None,
        })
    }

    /// The page. It loads nothing, and says so to the browser, which then would not let it.
    pub fn to_html(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n",
            style::of_page()
        );
        if !self.notice.is_empty() {
            html += &format!("<p class=\"notice\">{}</p>\n", escape(&self.notice));
        }
        html += &self.contents();
        html += &self.overview();
        for (at, section) in self.sections.iter().enumerate() {
            html += &format!("<section id=\"s{at}\">\n<h2>{}</h2>\n", escape(&section.title));
            for (number, block) in section.blocks.iter().enumerate() {
                html += &block.to_html(&format!("s{at}-{number}"));
            }
            html += "</section>\n";
        }
        html + "</main>\n</body>\n</html>\n"
    }

    fn contents(&self) -> String {
        if self.sections.len() < 2 {
            return String::new();
        }
        let links = self.sections.iter().enumerate();
        let links = links
            .map(|(at, section)| format!("<a href=\"#s{at}\">{}</a>\n", escape(&section.title)));
        format!("<nav aria-label=\"Sections\">\n{}</nav>\n", links.collect::<String>())
    }

    fn overview(&self) -> String {
        if self.runs.is_empty() {
            return String::new();
        }
        let mut html = "<dl class=\"totals\">\n".to_owned();
        for (value, what) in run::totals(&self.runs) {
            html += &format!("<div><dt>{what}</dt><dd>{}</dd></div>\n", escape(&value));
        }
        html += "</dl>\n";
        html += &run::overview(&self.runs).to_html();
        html += "<div class=\"tables\">\n";
        html += &run::faults(&self.runs).to_html();
        html += &run::calls(&self.runs).to_html();
        html += "</div>\n";
        let commands: Vec<&str> = self.runs.iter().map(|run| &*run.command).collect();
        let commands = commands.join("\n");
        if !commands.trim().is_empty() {
            html += "<p class=\"note\">The same again:</p>\n";
            html += &Block::Command(commands.trim().into()).to_html("");
        }
        html
    }
}
