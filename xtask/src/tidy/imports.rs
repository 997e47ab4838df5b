//! Which crate may import which: the table of DESIGN, enforced.

use super::source::Source;
use super::{File, Report};

/// Each crate with those of ours that it may import, and those that only its tests may import.
const MAY_IMPORT: [(&str, &[&str], &[&str]); 9] = [
    ("protocol", &[], &[]),
    ("websocket", &[], &[]),
    ("ring", &[], &[]),
    ("hub", &["protocol"], &[]),
    ("client", &["websocket", "protocol"], &["server"]),
    // Its tests build it again with failpoints.
    ("server", &["hub", "ring", "websocket", "protocol"], &["checker", "client", "server"]),
    // The load generator writes frames that a well-behaved client would not.
    ("cli", &["server", "client", "protocol", "ring", "websocket"], &[]),
    // Looks from the outside, so it must not know the server.
    ("checker", &["client", "websocket", "protocol"], &[]),
    ("xtask", &[], &[]),
];

fn rules(path: &str) -> Option<(&'static str, &'static [&'static str], &'static [&'static str])> {
    let name = path.strip_prefix("crates/").unwrap_or(path).split('/').next()?;
    MAY_IMPORT.into_iter().find(|(rule, ..)| *rule == name)
}

pub(crate) fn check_manifest(file: &File, report: &mut Report) {
    let Some((name, for_all, for_tests)) = rules(&file.path) else {
        return;
    };
    let mut section = "";
    for line in file.text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.trim_end_matches(']');
        }
        let Some(dependency) =
            line.strip_prefix("parlour-").and_then(|rest| rest.split(['.', ' ', '=']).next())
        else {
            continue;
        };
        let only_tests = section == "dev-dependencies" && for_tests.contains(&dependency);
        if section.ends_with("dependencies") && !for_all.contains(&dependency) && !only_tests {
            report.fail(&file.path, format!("{name} must not import {dependency}"));
        }
    }
}

pub(crate) fn check_source(source: &Source<'_>, report: &mut Report) {
    let Some((name, for_all, for_tests)) = rules(source.path) else {
        return;
    };
    for (number, line) in source.code.iter().enumerate() {
        for (at, _) in line.match_indices("parlour_") {
            let rest = &line[at + "parlour_".len()..];
            let imported = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or(rest);
            let is_ours = MAY_IMPORT.iter().any(|(other, ..)| *other == imported) && imported != name;
            let only_tests = !source.is_product() && for_tests.contains(&imported);
            if is_ours && !for_all.contains(&imported) && !only_tests {
                report.fail(source.place(number), format!("{name} must not import {imported}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::findings;

    #[test]
    fn forbidden_directions_are_found() {
        assert_eq!(findings("crates/hub/src/a.rs", "use parlour_protocol::Seq;\n").len(), 0);
        assert_eq!(findings("crates/hub/src/a.rs", "use parlour_server::Seq;\n").len(), 1);
        assert_eq!(findings("crates/server/src/a.rs", "use parlour_client::Client;\n").len(), 1);
        assert_eq!(findings("crates/server/tests/it/a.rs", "use parlour_client::Client;\n").len(), 0);
        assert_eq!(findings("crates/hub/src/a.rs", "// parlour_server does this\n").len(), 0);
    }

    #[test]
    fn manifests_are_read() {
        let file = |text: &str| File { path: "crates/hub/Cargo.toml".into(), bytes: 0, text: text.into() };
        let mut report = Report::default();
        check_manifest(&file("[dependencies]\nparlour-protocol.workspace = true\n"), &mut report);
        assert_eq!(report.findings.len(), 0);
        check_manifest(&file("[dev-dependencies]\nparlour-server = { path = \"x\" }\n"), &mut report);
        assert_eq!(report.findings.len(), 1);
    }
}
