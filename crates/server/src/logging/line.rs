//! How an event becomes one line, whatever its fields hold.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

use super::limiter::Limiter;

/// Writes events as lines of text or JSON.
pub(super) struct Lines<W> {
    is_json: bool,
    limiter: Limiter,
    writer: W,
}

impl<W> Lines<W> {
    pub(super) fn new(is_json: bool, limiter: Limiter, writer: W) -> Self {
        Self { is_json, limiter, writer }
    }
}

impl<S: Subscriber, W: for<'w> MakeWriter<'w> + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let Some(suppressed) = self.limiter.admit(metadata, Instant::now()) else {
            return;
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        if suppressed > 0 {
            fields.0.insert("suppressed".into(), suppressed.into());
        }
        let head = Head { ts: timestamp(), level: metadata.level().as_str(), target: metadata.target() };
        let line = if self.is_json { json(&head, fields) } else { text(&head, fields) };
        // There is nowhere to report that reporting failed.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

struct Head<'a> {
    ts: String,
    level: &'a str,
    target: &'a str,
}

fn json(head: &Head<'_>, fields: Fields) -> String {
    let mut line = Map::new();
    line.insert("ts".into(), head.ts.as_str().into());
    line.insert("level".into(), head.level.to_ascii_lowercase().into());
    line.insert("target".into(), head.target.into());
    for (name, value) in fields.0 {
        line.entry(name).or_insert(value);
    }
    // serde_json escapes every control character, so this is one line.
    let mut line = Value::Object(line).to_string();
    line.push('\n');
    line
}

fn text(head: &Head<'_>, mut fields: Fields) -> String {
    let message = fields.0.remove("message");
    let message = message.as_ref().and_then(Value::as_str).unwrap_or("");
    let mut line = format!("{} {:5} {}", head.ts, head.level, Escaped(message));
    for (name, value) in &fields.0 {
        // Writing to a String does not fail.
        let _ = match value {
            Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
                write!(line, " {name}=\"{}\"", Escaped(text))
            }
            Value::String(text) => write!(line, " {name}={}", Escaped(text)),
            other => write!(line, " {name}={other}"),
        };
    }
    line.push('\n');
    line
}

/// A text in which nothing can end the line, steer a terminal or turn the direction of writing.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    write!(f, "{}", c.escape_unicode())?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The fields of an event, in the order of their names.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

/// Returns the time in the form of RFC 3339, in UTC, to the millisecond.
fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format_time(since.as_secs(), since.subsec_millis())
}

fn format_time(seconds: u64, ms: u32) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Turns days since 1970-01-01 into a date, counting years from March so that the leap day is the
/// last of a year (E. G. Richards' method, for dates after the epoch).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::metrics::SharedCounter;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(is_json: bool, log: impl FnOnce()) -> (String, u64) {
        let sink = Sink::default();
        let suppressed: &SharedCounter = Box::leak(Box::default());
        let writer = sink.clone();
        let lines = Lines::new(is_json, Limiter::new(suppressed), move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let bytes = sink.0.lock().expect("one thread").clone();
        (String::from_utf8(bytes).expect("UTF-8"), suppressed.get())
    }

    const FORGED: &str = "Alice\n2026-01-01 ERROR forged \u{1b}[31m\u{202e}\"x\"";

    #[test]
    fn a_forged_line_stays_inside_its_field() {
        let (text, _) = logged(false, || tracing::info!(user = FORGED, port = 5, "a {FORGED}"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.contains(r#"user="Alice\u{a}2026-01-01 ERROR"#) && text.contains(" port=5"), "{text}");
    }

    #[test]
    fn a_json_line_is_one_object() {
        let (text, _) = logged(true, || tracing::warn!(user = FORGED, level = "x", "a {FORGED}"));
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["user"], FORGED);
        assert_eq!(line["level"], "warn", "a field cannot replace the level");
        assert_eq!(line["message"], format!("a {FORGED}"));
    }

    #[test]
    fn repeated_lines_are_counted_instead() {
        let (text, suppressed) = logged(false, || {
            for _ in 0..1_000 {
                tracing::info!("again");
                tracing::debug!("in detail");
            }
        });
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count() as u64;
        assert!(count("again") < 100, "one per second");
        assert_eq!(count("again") + suppressed, 1_000);
        assert_eq!(count("in detail"), 1_000);
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(format_time(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_time(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(format_time(1_795_258_799, 999), "2026-11-21T10:59:59.999Z");
        assert_eq!(format_time(4_107_542_399, 0), "2100-02-28T23:59:59.000Z");
        assert_eq!(format_time(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }
}
