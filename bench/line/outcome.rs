//! The table: a few rows of figures, and what was promised of them.

use std::fmt;

use serde::Serialize;

/// What one run came to. `Display` is the table.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The question, with its sizes.
    pub about: String,
    /// What the columns hold.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The promises.
    pub verdicts: Vec<Verdict>,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who, or in which state.
    pub what: String,
    /// One for each column.
    pub figures: Vec<f64>,
}

/// A promise next to what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What was promised, in words.
    pub promise: String,
    /// What was measured, in the promise's unit.
    pub figure: f64,
    /// Whether it holds in this run.
    pub kept: bool,
}

impl Outcome {
    /// A table without rows.
    pub fn new(about: String, columns: &[&'static str]) -> Outcome {
        Outcome { about, columns: columns.to_vec(), rows: Vec::new(), verdicts: Vec::new() }
    }

    /// Adds a row: the median of each figure over the rounds.
    pub fn add(&mut self, what: &str, rounds: &[Vec<f64>]) {
        let figure = |column: usize| median(rounds.iter().map(|figures| figures[column]).collect());
        let figures = (0..self.columns.len()).map(figure).collect();
        self.rows.push(Row { what: what.to_owned(), figures });
    }

    /// Adds a promise.
    pub fn judge(&mut self, promise: impl Into<String>, figure: f64, kept: bool) {
        self.verdicts.push(Verdict { promise: promise.into(), figure, kept });
    }

    /// The figure of a row in a column.
    pub fn figure(&self, what: &str, column: &str) -> f64 {
        let row = self.rows.iter().find(|row| row.what == what).expect("the row is there");
        let at = self.columns.iter().position(|name| *name == column).expect("the column is there");
        row.figures[at]
    }

    /// One JSON object on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("an outcome is plain numbers and texts")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.about)?;
        let widths: Vec<usize> = self.columns.iter().map(|name| name.len().max(8) + 3).collect();
        write!(f, "{:<28}", "")?;
        self.columns.iter().zip(&widths).try_for_each(|(name, width)| write!(f, "{name:>width$}"))?;
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<28}", row.what)?;
            row.figures.iter().zip(&widths).try_for_each(|(figure, width)| write!(f, "{:>width$}", told(*figure)))?;
            writeln!(f)?;
        }
        writeln!(f)?;
        self.verdicts.iter().try_for_each(|Verdict { promise, figure, kept }| {
            writeln!(f, "{:<8}{promise}: {}", if *kept { "kept" } else { "MISSED" }, told(*figure))
        })
    }
}

/// The middle one; the mean of the middle two.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.len().is_multiple_of(2) {
        true => f64::midpoint(figures[half - 1], figures[half]),
        false => figures[half],
    }
}

/// Three digits: the rest is noise.
fn told(figure: f64) -> String {
    match figure {
        1e6.. => format!("{:.2} M", figure / 1e6),
        1e4.. => format!("{:.1} k", figure / 1e3),
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
