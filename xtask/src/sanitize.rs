//! Runs the tests of the one crate with unsafe code under AddressSanitizer, leaks included.
//!
//! It watches what the program does with memory, and not what the kernel does with what it was lent:
//! that is for the invariant in `crates/ring/src/kernel.rs`. Miri would know neither.

use anyhow::{Context as _, Result};

use crate::shell;

/// Runs them.
///
/// # Errors
/// If there is no nightly compiler, or a test fails.
pub(crate) fn run() -> Result<()> {
    let version = shell::program("rustc", &["+nightly", "--version", "--verbose"])
        .read()
        .context("sanitizers need a nightly compiler; `rustup toolchain install nightly` brings one")?;
    let host = host(&version).context("rustc does not say for which machine it compiles")?;
    // With a target named, the flags do not reach build scripts, which would be slow and prove nothing.
    shell::program("cargo", &["+nightly", "test", "--package", "parlour-ring", "--target", host])
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("CARGO_TARGET_DIR", shell::target().join("sanitize"))
        .run()
}

/// Reads `host: x86_64-unknown-linux-gnu` among other lines.
fn host(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_what_the_compiler_says() {
        let version = "rustc 1.97.0-nightly\nbinary: rustc\nhost: aarch64-unknown-linux-gnu\n";
        assert_eq!(host(version), Some("aarch64-unknown-linux-gnu"));
        assert_eq!(host("rustc 1.97.0-nightly\n"), None);
    }
}
