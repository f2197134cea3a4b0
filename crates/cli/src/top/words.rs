//! Numbers, times and states of rows in words.

use std::time::{Duration, SystemTime};

use super::prompt::{Action, Order};
use super::row::{Look, Phase, Row};
use crate::breakers::human::span;

/// The text of a fact that does not exist.
pub const NOTHING: &str = "-";

/// A rate: 0, 0.4, 3.2, 118.
pub fn rate(value: f64) -> String {
    match value {
        value if value <= 0.0 => "0".into(),
        value if value < 0.05 => "<0.1".into(),
        value if value < 9.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// A share of 1 in per cent.
pub fn percent(share: f64) -> String {
    let hundredths = share * 100.0;
    match hundredths {
        it if it <= 0.0 => "0%".into(),
        it if it < 0.1 => "<0.1%".into(),
        it if it < 9.95 => format!("{}%", (it * 10.0).round() / 10.0),
        it => format!("{it:.0}%"),
    }
}

/// Milliseconds, from a second on in seconds.
pub fn took(ms: f64) -> String {
    match ms {
        ms if ms < 9.95 => format!("{}ms", (ms * 10.0).round() / 10.0),
        ms if ms < 999.5 => format!("{ms:.0}ms"),
        ms if ms < 9_950.0 => format!("{:.1}s", ms / 1_000.0),
        ms => format!("{:.0}s", ms / 1_000.0),
    }
}

/// The time of day in UTC, as in logs.
pub fn clock(at: SystemTime) -> String {
    let whole = humantime::format_rfc3339_seconds(at).to_string();
    let (_, time) = whole.split_once('T').unwrap_or_default();
    time.to_owned()
}

/// The time left until a later one, in whole seconds; `None`: it has passed.
pub fn left(at: SystemTime, now: SystemTime) -> Option<String> {
    let left = at.duration_since(now).ok().filter(|it| !it.is_zero())?;
    // Half a second is as far as a countdown may be off.
    let seconds = (left.as_millis() + 500) / 1_000;
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).max(1);
    Some(span(Duration::from_secs(seconds)))
}

/// The time since an earlier one, in whole seconds.
pub fn ago(at: SystemTime, now: SystemTime) -> String {
    let passed = now.duration_since(at).unwrap_or_default();
    match passed.as_secs() {
        0 => "0 s".into(),
        seconds => span(Duration::from_secs(seconds)),
    }
}

/// A state of the API in words.
pub fn state_word(state: &str) -> &str {
    match state {
        "half_open" => "half-open",
        other => other,
    }
}

/// The state of a row in words.
pub fn look_word(row: &Row) -> String {
    match row.look() {
        Look::Open => "open".into(),
        Look::HalfOpen => "half-open".into(),
        Look::HeldOpen => "held open".into(),
        Look::HeldClosed => "held closed".into(),
        Look::Ramp => {
            let share = row.ramp.as_ref().map_or(1.0, |ramp| ramp.share);
            format!("closed {}", percent(share))
        }
        Look::Failing | Look::Closed => "closed".into(),
        Look::Disabled => "disabled".into(),
    }
}

/// The time at which a breaker changes by itself: a countdown, or a word.
pub fn next(row: &Row, now: SystemTime) -> String {
    let until = |at: Option<SystemTime>, without: &str, after: &str| match at {
        None => without.to_owned(),
        Some(at) => left(at, now).unwrap_or_else(|| after.to_owned()),
    };
    match row.look() {
        Look::HeldOpen | Look::HeldClosed => {
            let ends = row.hold.as_ref().and_then(|hold| hold.until);
            until(ends, "release", "now")
        }
        Look::Open => until(row.retry_at, NOTHING, "next call"),
        Look::HalfOpen => "now".into(),
        Look::Ramp => until(row.ramp.as_ref().and_then(|it| it.ends), NOTHING, "now"),
        Look::Failing | Look::Closed | Look::Disabled => NOTHING.into(),
    }
}

/// The cause of a row's state, in a short sentence.
pub fn why(row: &Row) -> String {
    if let Some(hold) = &row.hold {
        return format!("{}: {}", hold.by, hold.reason);
    }
    match (row.look(), row.why.as_deref()) {
        (Look::HalfOpen, Some(why)) => format!("probing: {why}"),
        // The column of the next change says when the ramp ends.
        (Look::Ramp, _) => "ramp after a close".into(),
        (_, why) => why.unwrap_or_default().to_owned(),
    }
}

/// The effect of an order on a row, with the numbers of now.
pub fn foretold(order: &Order, row: &Row) -> String {
    let rates = row.rates.as_ref();
    let busy = rates.map(|it| it.calls_per_s + it.refused_per_s);
    let calls = match busy.filter(|it| *it > 0.0) {
        Some(calls) => format!("{} calls/s", rate(calls)),
        None => "all calls".into(),
    };
    let upstream = row.upstream.as_deref().unwrap_or(&row.name);
    let whole = match order.duration.as_deref() {
        Some(duration) => format!(" for {duration}"),
        None if row.is_flow() => String::new(),
        None => " until it is released".into(),
    };
    match order.action {
        Action::Open => format!("{calls} to {upstream} will be refused{whole}."),
        Action::Close if row.state == Phase::Open => {
            format!("{calls} will go to {upstream}{whole}, though the breaker is open now.")
        }
        Action::Close => {
            format!("{calls} will go to {upstream}{whole}, even if they fail.")
        }
        Action::Release if row.look() == Look::HeldOpen => {
            format!("single calls will try {upstream}; the rest is refused until they succeed.")
        }
        Action::Release => format!("the breaker judges {calls} again."),
        Action::Reset => {
            format!("closed, all counts cleared, no hold: {calls} will go to {upstream}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let rates = [0.0, 0.01, 0.44, 9.96, 118.4].map(rate);
        assert_eq!(rates, ["0", "<0.1", "0.4", "10", "118"]);
        let shares = [0.0, 0.0004, 0.0123, 0.4, 1.0].map(percent);
        assert_eq!(shares, ["0%", "<0.1%", "1.2%", "40%", "100%"]);
        let times = [0.42, 40.2, 999.9, 30_000.0].map(took);
        assert_eq!(times, ["0.4ms", "40ms", "1.0s", "30s"]);
    }

    #[test]
    fn a_countdown_is_never_zero_and_right_to_half_a_second() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let after = |millis| left(now + Duration::from_millis(millis), now);
        assert_eq!(after(0), None);
        assert_eq!(after(20).as_deref(), Some("1 s"));
        assert_eq!(after(1_499).as_deref(), Some("1 s"));
        assert_eq!(after(11_500).as_deref(), Some("12 s"));
        assert_eq!(left(now - Duration::from_secs(1), now), None);
    }

    #[test]
    fn a_time_of_day_is_that_of_the_log() {
        let at = humantime::parse_rfc3339("2026-11-30T14:05:09.730Z").unwrap();
        assert_eq!(clock(at), "14:05:09Z");
    }
}
