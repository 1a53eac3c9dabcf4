use crate::text::{escape, ranges};

/// A column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub(crate) title: String,
    pub(crate) is_number: bool,
}

impl Column {
    /// A column of words.
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: false }
    }

    /// A column of numbers, which stand to the right. The title names their unit.
    pub fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_number: true }
    }
}

/// Rows of text below titles of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub(crate) title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    note: String,
}

/// A planted bug, and how soon the simulator found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    /// The setting that switches it on.
    pub name: String,
    /// What it breaks, in a few words.
    pub breaks: String,
    /// The invariant that failed.
    pub found_by: String,
    /// The first seed that failed; `None` if none did.
    pub first_failing_seed: Option<u64>,
    /// How many seeds were tried.
    pub seeds_tried: u64,
}

/// A bug that a seed found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bug {
    /// What went wrong.
    pub what: String,
    /// The scenario that it showed in.
    pub scenario: String,
    /// Seeds that failed.
    pub seeds: Vec<u64>,
    /// What was done about it; empty while it is open.
    pub fix: String,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            title: title.into(),
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            note: String::new(),
        }
    }

    /// Planted bugs, and the first seed that found each.
    pub fn of_mutations(title: impl Into<String>, mutations: &[Mutation]) -> Self {
        let columns = [
            Column::text("mutation"),
            Column::text("breaks"),
            Column::text("found by"),
            Column::number("first failing seed"),
            Column::number("seeds tried"),
        ];
        mutations.iter().fold(Self::new(title, columns), |table, mutation| {
            let seed = mutation.first_failing_seed;
            table.row([
                mutation.name.clone(),
                mutation.breaks.clone(),
                mutation.found_by.clone(),
                seed.map_or_else(|| "not found".into(), |seed| seed.to_string()),
                mutation.seeds_tried.to_string(),
            ])
        })
    }

    /// Bugs, the seeds that found them, and their fixes.
    pub fn of_bugs(title: impl Into<String>, bugs: &[Bug]) -> Self {
        let columns = ["bug", "scenario", "seeds", "fix"].map(Column::text);
        bugs.iter().fold(Self::new(title, columns), |table, bug| {
            let fix = if bug.fix.is_empty() { "open".into() } else { bug.fix.clone() };
            table.row([bug.what.clone(), bug.scenario.clone(), ranges(&bug.seeds), fix])
        })
    }

    /// Adds a row. A row that is too short is filled up, one that is too long is cut.
    pub fn row<S: Into<String>>(mut self, cells: impl IntoIterator<Item = S>) -> Self {
        let cells = cells.into_iter().map(Into::into).chain(std::iter::repeat(String::new()));
        self.rows.push(cells.take(self.columns.len()).collect());
        self
    }

    /// A remark below the table.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(crate) fn to_html(&self) -> String {
        let class = |column: &Column| if column.is_number { " class=\"number\"" } else { "" };
        let title = escape(&self.title);
        // Whoever has no mouse can scroll what can be reached by the keyboard.
        let mut html = format!(
            "<div class=\"table\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\">\n\
             <table>\n<caption>{title}</caption>\n<thead><tr>"
        );
        for column in &self.columns {
            let (class, title) = (class(column), escape(&column.title));
            html += &format!("<th scope=\"col\"{class}>{title}</th>");
        }
        html += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            html += "<tr>";
            for (at, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                let (cell, class) = (escape(cell), class(column));
                html += &match at {
                    0 => format!("<th scope=\"row\"{class}>{cell}</th>"),
                    _ => format!("<td{class}>{cell}</td>"),
                };
            }
            html += "</tr>\n";
        }
        if self.rows.is_empty() {
            html += &format!("<tr><td colspan=\"{}\">no data</td></tr>\n", self.columns.len());
        }
        html += "</tbody>\n</table>\n";
        if !self.note.is_empty() {
            html += &format!("<p class=\"note\">{}</p>\n", escape(&self.note));
        }
        html + "</div>\n"
    }
}
