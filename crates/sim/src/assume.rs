//! A test of a breaker's settings without a log: calls of assumed phases, and assertions about the decisions.
//!
//! ```
//! use fusebox_sim::assume::{Assertion, Phases};
//!
//! let phases = Phases::read("healthy 10s at 100/s, 30ms; down 60s; healthy 60s")?;
//! let asserted = Assertion::read("opens_after <= 5")?;
//! assert_eq!(phases.calls(None, 1).len(), 13_000);
//! assert_eq!(asserted.to_string(), "opens_after <= 5");
//! # Ok::<(), fusebox_sim::assume::AssumeError>(())
//! ```

mod assertion;

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::rerun::{Call, Fact};
use crate::words::{duration, share, show_duration};

pub use assertion::{Assertion, Found};

/// The most calls that phases make.
pub const CALLS_MAX: u64 = 20_000_000;

/// The calls per second of a first phase that does not say.
const RATE: f64 = 100.0;

/// The duration of a call of a first phase that does not say.
const TIME: Duration = Duration::from_millis(30);

/// The error of phases or of an assertion that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeError(String);

impl AssumeError {
    fn new(what: impl Into<String>) -> AssumeError {
        AssumeError(what.into())
    }
}

impl fmt::Display for AssumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AssumeError {}

/// The phases of an upstream, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Phases(Vec<Stage>);

/// One phase of an upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    kind: Kind,
    lasts: Duration,
    /// Calls per second.
    rate: f64,
    time: Duration,
}

/// The behaviour of an upstream in a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Healthy,
    /// Every call fails.
    Down,
    /// Every call takes this long instead of its time.
    Slow(Duration),
    /// Calls fail at random with this probability.
    Fail(f64),
}

impl Phases {
    /// Reads phases separated by `;`: `healthy`, `down`, `slow 2s` or `fail 20%`, a duration, then `at N/s` and a call's
    /// time, which may be left out where they are those of the phase before; at first they are 100/s and 30 ms.
    ///
    /// # Errors
    /// An unknown word, a missing duration, or more than 20 million calls.
    pub fn read(text: &str) -> Result<Phases, AssumeError> {
        let mut stages: Vec<Stage> = Vec::new();
        for part in text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (rate, time) = stages
                .last()
                .map_or((RATE, TIME), |last| (last.rate, last.time));
            stages.push(stage(part, rate, time)?);
        }
        if stages.is_empty() {
            return Err(AssumeError::new(
                "expected a phase, such as `down 60s at 100/s, 30ms; healthy 60s`",
            ));
        }
        let calls: f64 = stages
            .iter()
            .map(|it| it.rate * it.lasts.as_secs_f64())
            .sum();
        if calls > CALLS_MAX as f64 {
            return Err(AssumeError::new(format!(
                "the phases have {calls:.0} calls, more than {CALLS_MAX}; make them shorter or their rate lower"
            )));
        }
        Ok(Phases(stages))
    }

    /// The calls in order of their starts, from zero on. `limit`: the time after which a call is given up, which is a
    /// failure. `seed`: that of the calls that fail at random.
    pub fn calls(&self, limit: Option<Duration>, seed: u64) -> Vec<Call> {
        let mut rng = Rng::with_seed(seed);
        let mut calls = Vec::new();
        let mut begin = 0;
        for stage in &self.0 {
            let lasts = nanos(stage.lasts);
            for number in 0_u64.. {
                // Computed from the phase's begin, so that rounding does not add up.
                let since = (number as f64 * 1e9 / stage.rate).round() as u64;
                if since >= lasts {
                    break;
                }
                let (mut fact, mut time) = match stage.kind {
                    Kind::Healthy => (Fact::Success, stage.time),
                    Kind::Down => (Fact::Failure, stage.time),
                    Kind::Slow(time) => (Fact::Success, time),
                    Kind::Fail(share) if rng.f64() < share => (Fact::Failure, stage.time),
                    Kind::Fail(_) => (Fact::Success, stage.time),
                };
                let mut code = if fact == Fact::Failure { 503 } else { 0 };
                if let Some(limit) = limit.filter(|limit| time > *limit) {
                    // A timeout.
                    (fact, time, code) = (Fact::Failure, limit, 3);
                }
                let took = nanos(time);
                calls.push(Call {
                    start: i64::try_from(begin + since).unwrap_or(i64::MAX),
                    lasted: took,
                    took,
                    fact,
                    code,
                });
            }
            begin += lasts;
        }
        calls
    }

    /// The length of all phases.
    pub fn span(&self) -> Duration {
        self.0.iter().map(|stage| stage.lasts).sum()
    }

    /// The times in nanoseconds at which an upstream that was not healthy is healthy again.
    fn recoveries(&self) -> Vec<u64> {
        let mut begin = 0;
        let mut ill = false;
        let mut times = Vec::new();
        for stage in &self.0 {
            let healthy = stage.kind == Kind::Healthy;
            if healthy && ill {
                times.push(begin);
            }
            ill = !healthy;
            begin += nanos(stage.lasts);
        }
        times
    }

    /// The begin of the trouble in which a time lies, or of the last one before it.
    fn trouble_before(&self, at: u64) -> Option<u64> {
        let mut begin = 0;
        let mut ill = false;
        let mut found = None;
        for stage in &self.0 {
            if begin > at {
                break;
            }
            let healthy = stage.kind == Kind::Healthy;
            if !healthy && !ill {
                found = Some(begin);
            }
            ill = !healthy;
            begin += nanos(stage.lasts);
        }
        found
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn stage(text: &str, rate: f64, time: Duration) -> Result<Stage, AssumeError> {
    let spaced = text.replace(',', " ");
    let mut words = spaced.split_whitespace().peekable();
    let needs = |what: &str, word: Option<&str>| {
        let found = word.map_or("the phase ends".to_owned(), |word| {
            format!("found `{word}`")
        });
        AssumeError::new(format!("in the phase `{text}`: expected {what}, {found}"))
    };
    let word = words.next().unwrap_or_default();
    let kind = match word {
        "healthy" => Kind::Healthy,
        "down" => Kind::Down,
        "slow" => {
            let word = words.next();
            let time = word.and_then(duration);
            Kind::Slow(
                time.ok_or_else(|| needs("the time of a slow call, such as `slow 2s`", word))?,
            )
        }
        "fail" => {
            let word = words.next();
            let share = word.and_then(share);
            Kind::Fail(share.ok_or_else(|| needs("a ratio, such as `fail 20%`", word))?)
        }
        word => {
            return Err(AssumeError::new(format!(
                "unknown phase `{word}`; expected healthy, down, slow TIME or fail RATIO"
            )));
        }
    };
    let word = words.next();
    let lasts = word.and_then(duration);
    let lasts = lasts.ok_or_else(|| needs("the length of the phase, such as `60s`", word))?;
    let mut stage = Stage {
        kind,
        lasts,
        rate,
        time,
    };
    while let Some(word) = words.next() {
        if word == "at" {
            let word = words.next();
            let rate = word.and_then(|word| word.strip_suffix("/s"));
            let rate = rate
                .and_then(crate::words::decimal)
                .filter(|rate| *rate > 0.0);
            stage.rate = rate.ok_or_else(|| needs("calls per second, such as `at 100/s`", word))?;
        } else if let Some(time) = duration(word) {
            stage.time = time;
        } else {
            return Err(needs(
                "`at N/s` or the time of a call, such as `30ms`",
                Some(word),
            ));
        }
    }
    Ok(stage)
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, stage) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            match stage.kind {
                Kind::Healthy => f.write_str("healthy")?,
                Kind::Down => f.write_str("down")?,
                Kind::Slow(time) => write!(f, "slow {}", show_duration(time))?,
                Kind::Fail(share) => write!(f, "fail {}", crate::words::show_share(share))?,
            }
            let (lasts, time) = (show_duration(stage.lasts), show_duration(stage.time));
            write!(f, " {lasts} at {}/s, {time}", stage.rate)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_inherit_rate_and_time() {
        let phases =
            Phases::read("down 60s at 100/s, 30ms; slow 2s 1m; fail 20% 10s at 0.5/s").unwrap();
        assert_eq!(
            phases.to_string(),
            "down 1m at 100/s, 30ms; slow 2s 1m at 100/s, 30ms; fail 20% 10s at 0.5/s, 30ms"
        );
        let calls = phases.calls(Some(Duration::from_secs(1)), 1);
        assert_eq!(calls.len(), 6_000 + 6_000 + 5);
        assert_eq!(calls[1].start, 10_000_000);
        assert_eq!(
            (calls[6_000].fact, calls[6_000].took),
            (Fact::Failure, 1_000_000_000)
        );
        assert_eq!(
            Phases::read("healthy 1s").unwrap().to_string(),
            "healthy 1s at 100/s, 30ms"
        );
    }

    #[test]
    fn a_wrong_phase_says_what_is_expected() {
        let error = |text| Phases::read(text).unwrap_err().to_string();
        assert_eq!(
            error("dwon 60s"),
            "unknown phase `dwon`; expected healthy, down, slow TIME or fail RATIO"
        );
        assert_eq!(
            error("down"),
            "in the phase `down`: expected the length of the phase, such as `60s`, the phase ends"
        );
        assert_eq!(
            error("down 60s at 100"),
            "in the phase `down 60s at 100`: expected calls per second, such as `at 100/s`, found `100`"
        );
        assert!(error("fail 60s").contains("expected a ratio, such as `fail 20%`, found `60s`"));
        assert!(error(" ; ").starts_with("expected a phase"));
        assert!(error("healthy 1000h at 10000/s").contains("more than 20000000"));
    }
}
