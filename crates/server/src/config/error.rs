//! Why a configuration is refused.

use std::fmt;

/// One reason. Its text names the key, the value and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum ConfigError {
    /// The file is not TOML, or a table in it is not what it must be. The line itself is not repeated:
    /// it may hold a secret.
    #[error("the configuration is not valid TOML: line {line}: {message}")]
    Syntax { line: usize, message: String },
    /// There is no such option.
    #[error("{place}: there is no option `{key}`{}", hint(*nearest))]
    Unknown { place: String, key: String, nearest: Option<&'static str> },
    /// The value is of the wrong type or out of range.
    #[error("{place}: `{key}` is {value}, but must be {rule}")]
    Invalid { place: String, key: &'static str, value: String, rule: String },
    /// Two options do not fit together.
    #[error("`{key}` is {value}: {rule}")]
    Conflict { key: &'static str, value: String, rule: &'static str },
    /// The combination is not safe outside development mode.
    #[error("not safe: `{key}` is {value}: {rule}")]
    Insecure { key: &'static str, value: String, rule: &'static str },
    /// The certificate or its key cannot be used.
    #[error("`tls`: {0}")]
    Tls(crate::tls::LoadError),
    /// A key of tokens cannot be used.
    #[error("`auth`: {0}")]
    Auth(crate::identity::key::KeyError),
    /// A variable that other servers know, for something that this version does not have.
    #[error("{variable} is set, but {what} is not supported yet; unset it to run one node")]
    Unsupported { variable: &'static str, what: &'static str },
    /// A value was given twice.
    #[error("{variable} and {variable}_FILE are both set; keep one")]
    Twice { variable: String },
    /// A file named by a `_FILE` variable cannot be read.
    #[error("{variable}: {path} cannot be read: {kind}")]
    Unreadable { variable: String, path: String, kind: std::io::ErrorKind },
    /// A file named by a `_FILE` variable can be read by every user of the machine.
    #[error("{variable}: {path} is readable by everybody; run `chmod o-rwx {path}`")]
    WorldReadable { variable: String, path: String },
}

impl ConfigError {
    /// Says where a text is not what it must be.
    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Self::Syntax { line, message: error.message().to_owned() }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

/// All reasons at once, so that one run shows everything to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is refused")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
