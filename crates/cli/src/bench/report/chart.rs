//! Charts of lines as SVG, drawn by hand so that a report needs nothing from elsewhere.

use std::fmt::Write as _;

use serde::Serialize;

use super::html::escaped;
use super::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 15.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// Points of a line that an eye can tell apart.
const MOST_POINTS: usize = 600;

/// Lines over one axis.
#[derive(Debug, Serialize)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What runs to the right, and what upwards.
    pub(crate) axes: [String; 2],
    pub(crate) lines: Vec<Line>,
    /// What stands below the axis instead of numbers, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) marks: Vec<(f64, String)>,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Chart {
    pub(crate) fn new(title: &str, axes: [&str; 2], lines: Vec<Line>) -> Self {
        Self { title: title.to_owned(), axes: axes.map(str::to_owned), lines, marks: Vec::new() }
    }

    /// Draws it, or nothing without a point.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let Some(scale) = Scale::of(points()) else {
            return String::new();
        };
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&self.title)
        );
        self.draw_axes(&scale, &mut svg);
        for (index, line) in self.lines.iter().enumerate() {
            let step = line.points.len().div_ceil(MOST_POINTS).max(1);
            let places = line.points.iter().step_by(step).map(|point| scale.place(*point));
            let path: Vec<_> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            // Writing to a String does not fail.
            let _ = writeln!(svg, "<polyline class=\"line{}\" points=\"{}\"/>", index % 4, path.join(" "));
            let (x, y) = (LEFT + 10.0 + 170.0 * (index % 4) as f64, TOP - 12.0 + 14.0 * (index / 4) as f64);
            let name = escaped(&line.name);
            let _ = writeln!(svg, "<text class=\"name{}\" x=\"{x}\" y=\"{y}\">{name}</text>", index % 4);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_axes(&self, scale: &Scale, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in ticks(scale.top) {
            let (_, y) = scale.place((scale.left, value));
            // Writing to a String does not fail.
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
            );
            let (x, y, label) = (LEFT - 6.0, y + 4.0, number(value));
            let _ = writeln!(svg, "<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>");
        }
        let numbers = || ticks(scale.right).map(|value| (value, number(value))).collect();
        let marks = if self.marks.is_empty() { numbers() } else { self.marks.clone() };
        for (value, label) in marks.iter().filter(|(value, _)| *value >= scale.left) {
            let ((x, _), y) = (scale.place((*value, 0.0)), bottom + 16.0);
            let label = escaped(label);
            let _ = writeln!(svg, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{label}</text>");
        }
        let [across, up] = [&self.axes[0], &self.axes[1]].map(|axis| escaped(axis));
        let (x, y) = ((LEFT + right) / 2.0, HEIGHT - 6.0);
        let _ = writeln!(svg, "<text class=\"middle\" x=\"{x}\" y=\"{y}\">{across}</text>");
        let y = f64::midpoint(TOP, bottom);
        let _ = writeln!(
            svg,
            "<text class=\"middle\" x=\"12\" y=\"{y}\" transform=\"rotate(-90 12 {y})\">{up}</text>"
        );
    }
}

/// Where values stand; upwards always from 0.
#[derive(Debug)]
struct Scale {
    left: f64,
    right: f64,
    top: f64,
}

impl Scale {
    fn of(points: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let (mut left, mut right, mut top) = (f64::INFINITY, f64::NEG_INFINITY, 0.0_f64);
        for (x, y) in points {
            (left, right, top) = (left.min(x), right.max(x), top.max(y));
        }
        let is_wide = right > left;
        let top = if top > 0.0 { top * 1.1 } else { 1.0 };
        left.is_finite().then_some(Self { left, right: if is_wide { right } else { left + 1.0 }, top })
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.left) / (self.right - self.left);
        let up = y / self.top;
        (LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP))
    }
}

/// Returns about five round values from 0 to `most`.
fn ticks(most: f64) -> impl Iterator<Item = f64> {
    let rough = most.max(f64::MIN_POSITIVE) / 5.0;
    let size = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * size).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=5).map(move |index| f64::from(index) * step).take_while(move |value| *value <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(47.0).collect::<Vec<_>>(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(1.0).collect::<Vec<_>>(), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
    }

    #[test]
    fn lines_stay_inside_and_long_ones_are_thinned() {
        let points: Vec<_> = (0..10_000).map(|x| (f64::from(x), f64::from(x % 7))).collect();
        let chart = Chart::new("t", ["x", "y"], vec![Line { name: "n".into(), points }]);
        let svg = chart.svg();
        let drawn = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a line");
        let places: Vec<_> = drawn.split(' ').filter_map(|place| place.split_once(',')).collect();
        assert!((300..=MOST_POINTS).contains(&places.len()), "{}", places.len());
        let inside = |place: &str, most: f64| (0.0..=most).contains(&place.parse::<f64>().expect("a number"));
        assert!(places.iter().all(|(x, y)| inside(x, WIDTH) && inside(y, HEIGHT)));
    }

    #[test]
    fn a_chart_without_points_is_not_drawn() {
        assert_eq!(Chart::new("t", ["x", "y"], Vec::new()).svg(), "");
        let one = Line { name: "n".into(), points: vec![(3.0, 0.0)] };
        assert!(!Chart::new("t", ["x", "y"], vec![one]).svg().contains("NaN"));
    }
}
