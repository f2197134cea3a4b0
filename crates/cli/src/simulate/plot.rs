//! Plots as SVG: the calls and states of a breaker over time, and the results of a sweep. Colours are by role, from the
//! page's style; each shape that means something has a title, and a table beside the plot has the same numbers.

use std::fmt::Write as _;

use fusebox_breaker::Phase;
use fusebox_sim::rerun::{Report, Timeline};
use fusebox_sim::sweep::Tried;

use crate::simulate::result::{Swept, count, time};

/// The size of a plot in its own units.
const WIDE: f64 = 960.0;
const LEFT: f64 = 58.0;
const HIGH: f64 = 190.0;

/// The most states that are drawn; more are no wider than a line.
const STATES: usize = 2_000;

/// The calls of each moment as stacked bars, and below them the states as a band.
pub fn timeline(name: &str, report: &Report, timeline: &Timeline) -> String {
    let mut svg = String::new();
    let inner = WIDE - LEFT - 12.0;
    let most = timeline.buckets.iter().map(total).max().unwrap_or(0).max(1);
    let width = inner / timeline.buckets.len() as f64;
    put(
        &mut svg,
        format_args!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDE} {}\" role=\"img\" aria-label=\"Calls and states of {name} over time\">",
            HIGH + 62.0
        ),
    );
    axis(&mut svg, most);
    for (at, bucket) in timeline.buckets.iter().enumerate() {
        if total(bucket) == 0 {
            continue;
        }
        let x = LEFT + at as f64 * width;
        let begin = timeline.span / timeline.buckets.len() as u64 * at as u64;
        put(
            &mut svg,
            format_args!(
                "<g><title>+{}: {} good, {} failed, refused {} that had failed and {} good, {} unknown</title>",
                time(begin),
                bucket.good,
                bucket.failed,
                bucket.refused_failed,
                bucket.refused_good,
                bucket.unknown
            ),
        );
        let mut base = HIGH;
        for (class, calls) in [
            ("ok", bucket.good),
            ("fail", bucket.failed),
            ("refused", bucket.refused_failed),
            ("lost", bucket.refused_good),
            ("unknown", bucket.unknown),
        ] {
            if calls > 0 {
                let high = calls as f64 / most as f64 * (HIGH - 14.0);
                base -= high;
                put(
                    &mut svg,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{base:.2}\" width=\"{:.2}\" height=\"{high:.2}\"/>",
                        (width - 0.4).max(0.4)
                    ),
                );
            }
        }
        svg.push_str("</g>");
    }
    states(&mut svg, report, timeline.span, inner);
    // Whole seconds say enough where there are many.
    let grain = match timeline.span {
        20_000_000_000.. => 1_000_000_000,
        _ => 1_000_000,
    };
    for step in 0..=4 {
        let at = timeline.span / 4 * step;
        let x = LEFT + inner * step as f64 / 4.0;
        let anchor = ["start", "middle", "middle", "middle", "end"][step as usize];
        put(
            &mut svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">+{}</text>",
                HIGH + 50.0,
                time(at - at % grain)
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

fn total(bucket: &fusebox_sim::rerun::Bucket) -> u64 {
    bucket.good + bucket.failed + bucket.refused_failed + bucket.refused_good + bucket.unknown
}

/// The scale of calls at the left.
fn axis(svg: &mut String, most: u64) {
    for (share, y) in [(0, HIGH), (1, HIGH / 2.0 + 7.0), (2, 14.0)] {
        let calls = most * share / 2;
        put(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                WIDE - 12.0,
                LEFT - 8.0,
                y + 4.0,
                count(calls)
            ),
        );
    }
}

fn states(svg: &mut String, report: &Report, span: u64, inner: f64) {
    let x = |at: u64| LEFT + inner * (at.min(span) as f64 / span.max(1) as f64);
    let mut begun = (0, Phase::Closed);
    let ends = report.states.iter().copied().take(STATES);
    for (at, state) in ends.chain([(span, Phase::Closed)]) {
        let (from, to) = (x(begun.0), x(at));
        let class = match begun.1 {
            Phase::Closed => "closed",
            Phase::Open => "open",
            Phase::HalfOpen => "half",
        };
        put(
            svg,
            format_args!(
                "<rect class=\"state {class}\" x=\"{from:.2}\" y=\"{}\" width=\"{:.2}\" height=\"16\"><title>{} from +{} to +{}</title></rect>",
                HIGH + 12.0,
                (to - from).max(0.8),
                begun.1,
                time(begun.0),
                time(at)
            ),
        );
        begun = (at, state);
    }
    put(
        svg,
        format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">state</text>",
            LEFT - 8.0,
            HIGH + 24.0
        ),
    );
}

/// Good calls refused against failures let through, a point for each result; the front is joined.
pub fn pareto(swept: &Swept) -> String {
    let ranked = &swept.ranked;
    let all = || ranked.tried.iter().chain([&ranked.today]);
    let range = |of: fn(&Tried) -> u64| {
        let low = all().map(of).min().unwrap_or(0);
        let high = all().map(of).max().unwrap_or(0);
        (low as f64, (high.max(low + 1)) as f64)
    };
    let (left, right) = range(|it| it.refused_good);
    let (low, high) = range(|it| it.failed);
    let (inner, tall) = (WIDE - LEFT - 60.0, 300.0);
    let x = |it: &Tried| LEFT + 30.0 + inner * (it.refused_good as f64 - left) / (right - left);
    let y = |it: &Tried| 20.0 + (tall - 60.0) * (1.0 - (it.failed as f64 - low) / (high - low));
    let mut svg = String::new();
    put(
        &mut svg,
        format_args!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDE} {tall}\" role=\"img\" aria-label=\"Failures let through against good calls refused, for each value\">"
        ),
    );
    let bottom = tall - 30.0;
    put(
        &mut svg,
        format_args!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{bottom}\" y2=\"{bottom}\"/><line class=\"grid\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"8\" y2=\"{bottom}\"/>",
            WIDE - 12.0
        ),
    );
    for (value, y) in [(high, 24.0), (low, tall - 36.0)] {
        put(
            &mut svg,
            format_args!(
                "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                count(value as u64)
            ),
        );
    }
    for (value, x, anchor) in [
        (left, LEFT + 30.0, "middle"),
        (right, LEFT + 30.0 + inner, "middle"),
    ] {
        put(
            &mut svg,
            format_args!(
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                tall - 14.0,
                count(value as u64)
            ),
        );
    }
    put(
        &mut svg,
        format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">good calls refused</text><text x=\"{}\" y=\"18\">failed calls let through</text>",
            LEFT + 30.0 + inner / 2.0,
            tall - 14.0,
            LEFT + 8.0
        ),
    );
    let mut front: Vec<&Tried> = ranked.tried.iter().filter(|it| it.on_front).collect();
    front.sort_by_key(|it| (it.refused_good, it.failed));
    let points: Vec<_> = front
        .iter()
        .map(|it| format!("{:.1},{:.1}", x(it), y(it)))
        .collect();
    put(
        &mut svg,
        format_args!(
            "<polyline class=\"front\" points=\"{}\"/>",
            points.join(" ")
        ),
    );
    // The best last, so that it lies on top.
    for (at, it) in ranked.tried.iter().enumerate().rev() {
        let class = match (at, it.on_front) {
            (0, _) => "point best",
            (_, true) => "point on",
            _ => "point",
        };
        put(
            &mut svg,
            format_args!(
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\"><title>{}: {} failed calls let through, {} good calls refused</title></circle>",
                x(it),
                y(it),
                if at == 0 { 6.5 } else { 4.0 },
                swept.named(&it.values),
                count(it.failed),
                count(it.refused_good)
            ),
        );
    }
    let today = &ranked.today;
    put(
        &mut svg,
        format_args!(
            "<rect class=\"today\" x=\"{:.1}\" y=\"{:.1}\" width=\"11\" height=\"11\"><title>today: {} failed calls let through, {} good calls refused</title></rect>",
            x(today) - 5.5,
            y(today) - 5.5,
            count(today.failed),
            count(today.refused_good)
        ),
    );
    svg.push_str("</svg>");
    svg
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    svg.write_fmt(what).expect("a String takes any text");
}
