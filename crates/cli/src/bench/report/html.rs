//! A report as one page that needs nothing from elsewhere, readable in the light and in the dark.

use std::fmt::Write as _;

use super::{Sheet, number, text};

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --faint: #d8dce0; --soft: #60676f;
  --c0: #0b66c3; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #15181b; --faint: #383e44; --soft: #9aa2aa;
    --c0: #6cb2ff; --c1: #ff9a5c; --c2: #5fd38a; --c3: #c99bff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--faint); }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { overflow-wrap: anywhere; }
.fault { color: var(--c1); font-weight: 600; }
svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--soft); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg .grid { stroke: var(--faint); } svg polyline { fill: none; stroke-width: 1.6; }
svg .line0 { stroke: var(--c0); } svg .line1 { stroke: var(--c1); }
svg .line2 { stroke: var(--c2); } svg .line3 { stroke: var(--c3); }
svg .name0 { fill: var(--c0); } svg .name1 { fill: var(--c1); }
svg .name2 { fill: var(--c2); } svg .name3 { fill: var(--c3); }";

/// Writes the whole page.
pub(super) fn render(sheet: &Sheet<'_>) -> String {
    let report = sheet.report;
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    // Writing to a String does not fail.
    let _ =
        writeln!(page, "<table>\n<tr><th>machine</th><td>{}</td></tr>", escaped(&sheet.machine.to_string()));
    let _ = writeln!(page, "<tr><th>command</th><td><code>{}</code></td></tr>", escaped(&sheet.command));
    let _ = writeln!(page, "<tr><th>version</th><td>{}</td></tr>\n</table>", escaped(sheet.version));
    for fault in &report.faults {
        let _ = writeln!(page, "<p class=\"fault\">{}</p>", escaped(fault));
    }
    for section in &report.sections {
        let _ = writeln!(page, "<h2>{}</h2>\n<table>", escaped(&section.title));
        page.push_str("<tr><th></th><th class=\"number\">median</th><th>unit</th><th>spread</th></tr>\n");
        for figure in &section.figures {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&figure.name),
                number(figure.median),
                escaped(&figure.unit),
                text::spread(figure).trim(),
            );
        }
        page.push_str("</table>\n");
    }
    for chart in &report.charts {
        let _ = write!(page, "<h2>{}</h2>\n{}", escaped(&chart.title), chart.svg());
    }
    for note in &report.notes {
        let _ = writeln!(page, "<p>{}</p>", escaped(note));
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// Makes a text that HTML shows as it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{machine, report};
    use super::*;

    /// Elements that have no end.
    const VOID: [&str; 3] = ["meta", "!DOCTYPE", "line"];

    fn page() -> String {
        let (report, machine) = (report(), machine());
        let command = "parlour bench fanout --url ws://host/ws".to_owned();
        render(&Sheet { version: "1.2.3", command, machine: &machine, report: &report })
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let page = page();
        for reference in ["http:", "https:", "src=", "href=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn elements_are_closed_in_their_order() {
        let page = page();
        let mut open = Vec::new();
        for part in page.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{text}");
            let name = tag.split([' ', '/']).find(|word| !word.is_empty()).expect("a tag has a name");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{part}");
            } else if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<&str>::new());
        assert!(page.contains("p99 &lt;of delivery&gt;") && page.contains("<polyline"), "{page}");
    }
}
