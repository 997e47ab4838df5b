//! How fast something grows.

/// Returns the slope of the line that is nearest to the points (least squares), in units of `y` per
/// unit of `x`; `None` where the points are not beside each other.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(sum_x, sum_y), (x, y)| (sum_x + x, sum_y + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut together, mut across) = (0.0, 0.0);
    for (x, y) in points {
        together += (x - mean_x) * (y - mean_y);
        across += (x - mean_x).powi(2);
    }
    (across > 0.0).then(|| together / across)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_does_not_change_it_much() {
        let line: Vec<_> = (0..100).map(|x| (f64::from(x), 3.0 * f64::from(x) + 7.0)).collect();
        assert!((slope(&line).expect("a slope") - 3.0).abs() < 1e-9);
        let noisy: Vec<_> =
            line.iter().enumerate().map(|(index, (x, y))| (*x, y + [-5.0, 5.0][index % 2])).collect();
        assert!((slope(&noisy).expect("a slope") - 3.0).abs() < 0.05);
        let still: Vec<_> = (0..50).map(|x| (f64::from(x), 4.0)).collect();
        assert_eq!(slope(&still), Some(0.0));
    }

    #[test]
    fn points_without_distance_have_no_slope() {
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }
}
