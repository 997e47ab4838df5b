//! What every scenario returns, and the one place where it is printed.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::machine::Machine;

mod chart;
mod html;
mod text;

pub(crate) use chart::{Chart, Line};

/// Where a report goes beside the terminal.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Writes the report as JSON, too
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report as one page of HTML with charts, too
    #[arg(long, global = true, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// The outcome of a scenario.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What was measured, in one line.
    pub(crate) title: String,
    pub(crate) sections: Vec<Section>,
    pub(crate) charts: Vec<Chart>,
    /// What one must know to read the figures.
    pub(crate) notes: Vec<String>,
    /// What must not happen, and did.
    pub(crate) faults: Vec<String>,
}

/// Figures that belong together.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) figures: Vec<Figure>,
}

/// Several measurements of one thing.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// One of each round, in their order.
    pub(crate) rounds: Vec<f64>,
}

/// A report with where it comes from.
#[derive(Debug, Serialize)]
struct Sheet<'a> {
    version: &'static str,
    command: String,
    machine: &'a Machine,
    #[serde(flatten)]
    report: &'a Report,
}

impl Figure {
    /// Takes one measurement of each round.
    ///
    /// # Panics
    /// Without any.
    pub(crate) fn new(name: &str, unit: &str, rounds: Vec<f64>) -> Self {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let median = sorted[sorted.len() / 2];
        Self { name: name.to_owned(), unit: unit.to_owned(), median, min, max, rounds }
    }
}

impl Section {
    pub(crate) fn new(title: &str, figures: Vec<Figure>) -> Self {
        Self { title: title.to_owned(), figures }
    }
}

/// Collects figures over the rounds, in the order of their first mention.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(&'static str, &'static str, Vec<f64>)>);

impl Figures {
    /// Adds what a round gave.
    pub(crate) fn add(&mut self, name: &'static str, unit: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _, _)| *known == name) {
            Some((_, _, values)) => values.push(value),
            None => self.0.push((name, unit, vec![value])),
        }
    }

    /// Adds what a round gave, if it could be measured.
    pub(crate) fn add_if(&mut self, name: &'static str, unit: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(name, unit, value);
        }
    }

    /// Returns them under a title.
    pub(crate) fn section(self, title: &str) -> Section {
        let figures = self.0.into_iter().map(|(name, unit, values)| Figure::new(name, unit, values));
        Section::new(title, figures.collect())
    }
}

/// Prints a report, writes the files, and fails if anything was wrong.
///
/// # Errors
/// Files that cannot be written; what the report says of lost, doubled or disordered messages.
pub(crate) fn finish(report: &Report, machine: &Machine, output: &OutputArgs) -> anyhow::Result<()> {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let sheet =
        Sheet { version: env!("CARGO_PKG_VERSION"), command: format!("parlour {command}"), machine, report };
    print!("{}", text::render(&sheet));
    if let Some(path) = &output.json {
        let json = serde_json::to_string_pretty(&sheet)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &output.html {
        let page = html::render(&sheet);
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !report.faults.is_empty() {
        bail!("the server did not keep its word: {}", report.faults.join("; "));
    }
    Ok(())
}

/// Writes a number with as many digits as one can tell apart.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => {
            let digits = format!("{size:.0}");
            let mut grouped = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            if value < 0.0 { format!("-{grouped}") } else { grouped }
        }
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report with everything in it, and signs that HTML must not take for its own.
    pub(crate) fn report() -> Report {
        let mut figures = Figures::default();
        for value in [3.0, 1.0, 2.0] {
            figures.add("p99 <of delivery>", "ms", value);
        }
        let points = vec![(0.0, 1_000.0), (1.0, 1_200.0), (2.0, 900.0)];
        let line = Line { name: "server & client".into(), points };
        Report {
            title: "fan-out: \"quoted\"".into(),
            sections: vec![figures.section("latency")],
            charts: vec![Chart::new("throughput", ["s", "deliveries/s"], vec![line])],
            notes: vec!["a note".into()],
            faults: vec!["1 x missing".into()],
        }
    }

    pub(crate) fn machine() -> Machine {
        Machine { cpu: "a processor".into(), cores: 2, kernel: "linux 6".into(), load: 0.25 }
    }

    #[test]
    fn json_has_what_a_script_needs() {
        let (report, machine) = (report(), machine());
        let command = "parlour bench fanout".to_owned();
        let sheet = Sheet { version: "1.2.3", command, machine: &machine, report: &report };
        let json = serde_json::to_value(&sheet).expect("JSON");
        assert_eq!(json["version"], "1.2.3");
        assert_eq!(json["machine"]["cores"], 2);
        let figure = &json["sections"][0]["figures"][0];
        let shown = ["median", "min", "max"].map(|field| figure[field].as_f64());
        assert_eq!(shown, [Some(2.0), Some(1.0), Some(3.0)]);
        assert_eq!(figure["rounds"], serde_json::json!([3.0, 1.0, 2.0]), "in their order");
        assert_eq!(json["charts"][0]["lines"][0]["points"][1], serde_json::json!([1.0, 1_200.0]));
        assert_eq!(
            (json["faults"][0].as_str(), json["notes"][0].as_str()),
            (Some("1 x missing"), Some("a note"))
        );
    }

    #[test]
    fn numbers_are_readable() {
        let shown = [0.0, 1.239, 45.67, 678.9, 1_234.5, -1_234_567.0].map(number);
        assert_eq!(shown, ["0", "1.24", "45.7", "679", "1,234", "-1,234,567"]);
    }
}
