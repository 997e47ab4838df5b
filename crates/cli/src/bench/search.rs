//! Finds the highest rate that holds.

/// One rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tried<T> {
    pub(crate) rate: f64,
    pub(crate) outcome: T,
}

/// Doubles the rate until it does not hold, then halves the distance (as a factor) until it is within
/// `precision` of the highest that held. Returns all that was tried, in order.
///
/// A rate that does not hold at first is tried at half of it, down to a thousandth of the start.
///
/// # Errors
/// Of `attempt`.
pub(crate) fn highest<T: Copy>(
    start: f64,
    precision: f64,
    mut attempt: impl FnMut(f64) -> anyhow::Result<T>,
    holds: impl Fn(&T) -> bool,
) -> anyhow::Result<Vec<Tried<T>>> {
    let (mut low, mut high) = (None::<f64>, None::<f64>);
    let mut all = Vec::new();
    let mut rate = start;
    while rate >= start / 1_000.0 {
        let outcome = attempt(rate)?;
        all.push(Tried { rate, outcome });
        match holds(&outcome) {
            true => low = Some(rate),
            false => high = Some(rate),
        }
        rate = match (low, high) {
            (Some(low), Some(high)) if high / low <= 1.0 + precision => break,
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => low * 2.0,
            (None, Some(high)) => high / 2.0,
            (None, None) => break,
        };
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(start: f64, limit: f64) -> (Option<f64>, usize) {
        let all = highest(start, 0.05, |rate| Ok(rate <= limit), |holds| *holds).expect("no errors");
        let held = all.iter().filter(|tried| tried.outcome).map(|tried| tried.rate);
        (held.max_by(f64::total_cmp), all.len())
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for (start, limit) in [(50.0, 1_234.0), (50.0, 50.0), (50_000.0, 1_234.0), (1.0, 3_000_000.0)] {
            let (best, tries) = best(start, limit);
            let best = best.expect("something holds");
            assert!(best <= limit && best >= limit / 1.05, "{best} for {limit}");
            assert!(tries <= 30, "{tries}");
        }
    }

    #[test]
    fn where_nothing_holds_the_search_ends() {
        let (best, tries) = best(100.0, 0.0);
        assert_eq!(best, None);
        assert!(tries <= 11, "{tries}");
    }
}
