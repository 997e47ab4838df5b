//! Charts of measurements.

use super::report::{Chart, Line};
use super::scene::Measurement;

/// Draws the latency at each quantile.
pub(crate) fn latencies(measurements: &[(&str, Measurement)]) -> Chart {
    // As far apart as the nines: 90 %, 99 %, 99.9 %.
    let place = |quantile: f64| -(1.0 - quantile.min(0.99999)).log10();
    let lines = measurements.iter().map(|(name, measurement)| {
        let points = measurement.latencies.iter().map(|(quantile, ms)| (place(*quantile), *ms));
        Line { name: (*name).to_owned(), points: points.collect() }
    });
    let mut chart = Chart::new("latency of the last round", ["share of deliveries", "ms"], lines.collect());
    let marks =
        [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"), (1.0, "all")];
    chart.marks = marks.map(|(quantile, mark)| (place(quantile), mark.to_owned())).to_vec();
    chart
}

/// Draws the deliveries of each second.
pub(crate) fn throughput(measurements: &[(&str, Measurement)]) -> Chart {
    let lines = measurements.iter().map(|(name, measurement)| {
        // What follows the last whole second is no second.
        let whole = measurement.seconds.iter().filter(|second| second.at_s.fract() < 1e-6);
        let points = whole.map(|second| (second.at_s, second.deliveries as f64));
        Line { name: (*name).to_owned(), points: points.collect() }
    });
    Chart::new("throughput of the last round", ["seconds", "deliveries/s"], lines.collect())
}

/// Draws the p99 of each second.
pub(crate) fn p99(measurements: &[(&str, Measurement)]) -> Chart {
    let lines = measurements.iter().map(|(name, measurement)| {
        let points = measurement.seconds.iter().map(|second| (second.at_s, second.p99_ms));
        Line { name: (*name).to_owned(), points: points.collect() }
    });
    Chart::new("p99 of each second, last round", ["seconds", "ms"], lines.collect())
}

/// Draws the memory of each side over time.
pub(crate) fn memory(measurements: &[(&str, Measurement)]) -> Chart {
    let lines = measurements.iter().filter(|(_, measurement)| !measurement.memory.is_empty());
    let lines = lines
        .map(|(name, measurement)| Line { name: (*name).to_owned(), points: measurement.memory.clone() });
    Chart::new("memory of the last round", ["seconds", "MiB"], lines.collect())
}
