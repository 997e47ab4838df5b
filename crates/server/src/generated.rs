//! Keeps generated files in the repository equal to what the code says.

use std::path::Path;

/// Compares a file of the repository with what it should hold.
///
/// With `PARLOUR_BLESS=1` in the environment the file is written instead.
#[track_caller]
pub(crate) fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("PARLOUR_BLESS").is_some() {
        std::fs::write(&file, expected).expect("the checkout is writable");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is out of date: run the tests once with PARLOUR_BLESS=1");
}
