//! A report for the terminal.

use std::fmt::Write as _;

use super::{Figure, Sheet, number};

/// Writes everything but the charts.
pub(super) fn render(sheet: &Sheet<'_>) -> String {
    let mut text = String::new();
    let report = sheet.report;
    // Writing to a String does not fail.
    let _ = writeln!(text, "machine: {}", sheet.machine);
    let _ = writeln!(text, "command: {} (version {})", sheet.command, sheet.version);
    let _ = writeln!(text, "{}", report.title);
    let figures = || report.sections.iter().flat_map(|section| &section.figures);
    let name_width = figures().map(|figure| name(figure).chars().count()).max().unwrap_or_default();
    let median_width = figures().map(|figure| number(figure.median).len()).max().unwrap_or_default();
    for section in &report.sections {
        let _ = writeln!(text, "\n{}", section.title);
        for figure in &section.figures {
            let (name, median) = (name(figure), number(figure.median));
            let _ = writeln!(text, "  {name:name_width$}  {median:>median_width$}{}", spread(figure));
        }
    }
    for note in &report.notes {
        let _ = write!(text, "\nnote: {note}");
    }
    for fault in &report.faults {
        let _ = write!(text, "\nFAULT: {fault}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn name(figure: &Figure) -> String {
    match figure.unit.as_str() {
        "" => figure.name.clone(),
        unit => format!("{}, {unit}", figure.name),
    }
}

/// The smallest and the largest, where there is more than one.
pub(super) fn spread(figure: &Figure) -> String {
    match figure.rounds.len() {
        1 => String::new(),
        rounds => format!("  ({} to {}, {rounds} rounds)", number(figure.min), number(figure.max)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{machine, report};
    use super::*;

    #[test]
    fn a_terminal_shows_machine_command_figures_and_faults() {
        let (report, machine) = (report(), machine());
        let command = "parlour bench fanout".to_owned();
        let text = render(&Sheet { version: "1.2.3", command, machine: &machine, report: &report });
        let expected = "machine: a processor (2 cores), linux 6, load 0.25\n\
                        command: parlour bench fanout (version 1.2.3)\n\
                        fan-out: \"quoted\"\n\
                        \n\
                        latency\n  \
                          p99 <of delivery>, ms  2  (1 to 3, 3 rounds)\n\
                        \n\
                        note: a note\n\
                        FAULT: 1 x missing\n";
        assert_eq!(text, expected);
    }
}
