//! Under which licences the dependencies come, and from where.
//!
//! `deny.toml` is the list; `cargo deny check`, which also knows of advisories and needs the network,
//! reads the same.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell;

/// The only place that dependencies come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every dependency; returns how many.
pub(crate) fn check() -> Result<u32> {
    let allowed = allowed(&fs::read_to_string(shell::root().join("deny.toml"))?)?;
    let metadata = shell::cargo(&["metadata", "--locked", "--format-version", "1"]).read()?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let foreign = packages.iter().filter(|package| !package["source"].is_null());
    let findings: Vec<_> = foreign.clone().filter_map(|package| objection(package, &allowed)).collect();
    if !findings.is_empty() {
        bail!("these dependencies may not be used:\n{}", findings.join("\n"));
    }
    Ok(u32::try_from(foreign.count())?)
}

/// Reads what stands in `licenses.allow`.
fn allowed(deny: &str) -> Result<BTreeSet<String>> {
    let list = deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.context("deny.toml lists the licences that are allowed")?;
    let names = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}

/// Says why a package may not be used, if so.
fn objection(package: &Value, allowed: &BTreeSet<String>) -> Option<String> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    if package["source"] != REGISTRY {
        return Some(format!("{name} comes from {}", package["source"]));
    }
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name} names no licence"));
    };
    let is_allowed = is_allowed(licence, allowed);
    (!is_allowed).then(|| format!("{name} is licensed under {licence}"))
}

/// Whether an SPDX expression can be satisfied with the licences that are allowed.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    // Old manifests write `MIT/Apache-2.0` for a choice.
    let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX);
    expression.is_ok_and(|expression| expression.evaluate(|wanted| allowed.contains(&wanted.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_the_list_is_refused() {
        let deny = "[licenses]\nallow = [\n  \"MIT\", # a reason\n  \"Apache-2.0\",\n]\n";
        let allowed = allowed(deny).expect("a list");
        assert_eq!(allowed.len(), 2);
        for (licence, fits) in [
            ("MIT OR GPL-3.0", true),
            ("MIT/Apache-2.0", true),
            ("MIT AND Apache-2.0", true),
            ("MIT AND GPL-3.0", false),
            ("GPL-3.0-only", false),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_allowed(licence, &allowed), fits, "{licence}");
        }
    }

    #[test]
    fn the_registry_is_the_only_source() {
        let allowed = BTreeSet::from(["MIT".to_owned()]);
        let package = |source: &str, licence: Value| serde_json::json!({"name": "a", "version": "1.0.0", "source": source, "license": licence});
        assert_eq!(objection(&package(REGISTRY, "MIT".into()), &allowed), None);
        assert!(objection(&package(REGISTRY, Value::Null), &allowed).is_some());
        assert!(objection(&package("git+https://example.com/a", "MIT".into()), &allowed).is_some());
    }
}
