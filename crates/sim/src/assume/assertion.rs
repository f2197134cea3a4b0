//! Assertions about a run of assumed phases: `opens_after <= 5`, `recovers_within < 10s`, `refused_good <= 1%`.

use std::fmt;

use fusebox_breaker::Phase;

use super::{AssumeError, Phases};
use crate::rerun::Report;
use crate::words::{duration, share, show_duration, show_share};

/// A comparison of a fact about a run with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    subject: Subject,
    compare: Compare,
    /// A number, nanoseconds, or a ratio from 0 to 1.
    value: f64,
}

/// The facts that can be asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// Failed calls until the breaker opens.
    OpensAfter,
    /// The time from the begin of the trouble until the breaker opens.
    OpensWithin,
    /// The longest time from the end of a trouble until the breaker closes.
    RecoversWithin,
    /// Number of trips, reopenings among them.
    Trips,
    /// Refused good calls as a share of all calls.
    RefusedGood,
}

const SUBJECTS: [(&str, Subject); 5] = [
    ("opens_after", Subject::OpensAfter),
    ("opens_within", Subject::OpensWithin),
    ("recovers_within", Subject::RecoversWithin),
    ("trips", Subject::Trips),
    ("refused_good", Subject::RefusedGood),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
}

/// The longer ones first, so that `<=` is not read as `<`.
const COMPARES: [(&str, Compare); 5] = [
    ("<=", Compare::AtMost),
    (">=", Compare::AtLeast),
    ("==", Compare::Equal),
    ("<", Compare::Below),
    (">", Compare::Above),
];

/// The result of an assertion.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// True if it holds.
    pub holds: bool,
    /// The fact in words.
    pub found: String,
}

impl Assertion {
    /// Reads `FACT COMPARISON VALUE`.
    ///
    /// # Errors
    /// An unknown fact or comparison, or a value of another kind than the fact's.
    pub fn read(text: &str) -> Result<Assertion, AssumeError> {
        let text = text.trim();
        let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let Some((_, subject)) = SUBJECTS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = SUBJECTS.iter().map(|(name, _)| *name).collect();
            return Err(AssumeError::new(format!(
                "unknown fact `{name}`; expected one of {}",
                known.join(", ")
            )));
        };
        let rest = rest.trim_start();
        let found = COMPARES
            .iter()
            .find_map(|(sign, compare)| Some((*compare, rest.strip_prefix(sign)?)));
        let Some((compare, value)) = found else {
            return Err(AssumeError::new(format!(
                "`{name}` has no comparison; expected <=, <, >=, > or == after it, as in `{name} <= {}`",
                subject.example()
            )));
        };
        let value = value.trim();
        match subject.value(value) {
            Some(value) => Ok(Assertion {
                subject: *subject,
                compare,
                value,
            }),
            None => Err(AssumeError::new(format!(
                "`{value}` is not a value of `{name}`; expected {} such as {}",
                subject.kind(),
                subject.example()
            ))),
        }
    }

    /// Compares the fact of a run.
    pub fn check(&self, phases: &Phases, report: &Report) -> Found {
        let fact = self.subject.fact(phases, report);
        let (fact, found) = match fact {
            Fact::Is(fact) => (fact, self.subject.show(fact)),
            Fact::Never(why) => (f64::INFINITY, why.to_owned()),
            // There is nothing that could hold.
            Fact::Void(why) => {
                let found = why.to_owned();
                return Found {
                    holds: false,
                    found,
                };
            }
        };
        let holds = match self.compare {
            Compare::AtMost => fact <= self.value,
            Compare::Below => fact < self.value,
            Compare::AtLeast => fact >= self.value,
            Compare::Above => fact > self.value,
            Compare::Equal => fact == self.value,
        };
        Found { holds, found }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SUBJECTS
            .iter()
            .find(|(_, subject)| *subject == self.subject);
        let sign = COMPARES
            .iter()
            .find(|(_, compare)| *compare == self.compare);
        let (name, sign) = (name.map_or("", |it| it.0), sign.map_or("", |it| it.0));
        write!(f, "{name} {sign} {}", self.subject.show(self.value))
    }
}

/// A fact about a run.
enum Fact {
    Is(f64),
    /// Later than any time, and more than any number.
    Never(&'static str),
    /// The run has no such fact.
    Void(&'static str),
}

impl Subject {
    fn kind(self) -> &'static str {
        match self {
            Subject::OpensAfter | Subject::Trips => "a number",
            Subject::OpensWithin | Subject::RecoversWithin => "a duration",
            Subject::RefusedGood => "a ratio",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Subject::OpensAfter | Subject::Trips => "5",
            Subject::OpensWithin | Subject::RecoversWithin => "10s",
            Subject::RefusedGood => "1%",
        }
    }

    fn value(self, text: &str) -> Option<f64> {
        match self {
            Subject::OpensAfter | Subject::Trips => text.parse::<u32>().ok().map(f64::from),
            Subject::OpensWithin | Subject::RecoversWithin => {
                duration(text).map(|time| time.as_nanos() as f64)
            }
            Subject::RefusedGood => {
                let plain = || crate::words::decimal(text).filter(|share| *share <= 1.0);
                share(text).or_else(plain)
            }
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Subject::OpensAfter | Subject::Trips => format!("{value}"),
            Subject::OpensWithin | Subject::RecoversWithin => {
                show_duration(std::time::Duration::from_nanos(value as u64))
            }
            Subject::RefusedGood => show_share(value),
        }
    }

    fn fact(self, phases: &Phases, report: &Report) -> Fact {
        const NEVER: &str = "the breaker never opened";
        match self {
            Subject::OpensAfter => match report.opens_after {
                Some(failures) => Fact::Is(failures as f64),
                None => Fact::Never(NEVER),
            },
            Subject::OpensWithin => match report.trips.first() {
                Some(trip) => match phases.trouble_before(trip.at) {
                    Some(begin) => Fact::Is((trip.at - begin) as f64),
                    None => Fact::Void("the breaker opened while the upstream was healthy"),
                },
                None => Fact::Never(NEVER),
            },
            Subject::RecoversWithin => recovery(phases, report),
            Subject::Trips => Fact::Is(report.trips.len() as f64),
            Subject::RefusedGood => {
                Fact::Is(report.refused_good as f64 / report.total().max(1) as f64)
            }
        }
    }
}

/// The longest time from the end of a trouble to the close after it.
fn recovery(phases: &Phases, report: &Report) -> Fact {
    if report.trips.is_empty() {
        return Fact::Void("the breaker never opened, so there was nothing to recover from");
    }
    let ends = phases.recoveries();
    if ends.is_empty() {
        return Fact::Void("the upstream is never healthy after its trouble; add `; healthy 60s`");
    }
    let mut longest = 0;
    for (at, end) in ends.iter().enumerate() {
        let next = ends.get(at + 1).copied().unwrap_or(u64::MAX);
        let before = report.states.iter().rev().find(|(time, _)| time <= end);
        let mut open = before.is_some_and(|(_, state)| *state != Phase::Closed);
        let mut since = *end;
        // A breaker may also open on the last failures after the end.
        for (time, state) in report
            .states
            .iter()
            .filter(|(time, _)| time > end && *time < next)
        {
            match state {
                Phase::Closed if open => {
                    open = false;
                    longest = longest.max(time - end);
                }
                Phase::Open => open = true,
                Phase::Closed | Phase::HalfOpen => {}
            }
            since = *time;
        }
        if open && since < next {
            return Fact::Never("the breaker did not close again");
        }
    }
    Fact::Is(longest as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_read_as_they_are_written() {
        for text in [
            "opens_after <= 5",
            "opens_within < 250ms",
            "recovers_within <= 10s",
            "trips == 1",
            "trips > 0",
            "refused_good >= 0.5%",
        ] {
            assert_eq!(Assertion::read(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Assertion::read("refused_good<=0.01").unwrap().to_string(),
            "refused_good <= 1%"
        );
    }

    #[test]
    fn a_wrong_assertion_says_what_is_expected() {
        let error = |text| Assertion::read(text).unwrap_err().to_string();
        assert!(
            error("open_after <= 5")
                .starts_with("unknown fact `open_after`; expected one of opens_after")
        );
        assert!(
            error("opens_after 5")
                .contains("has no comparison; expected <=, <, >=, > or == after it")
        );
        assert_eq!(
            error("opens_within <= 5"),
            "`5` is not a value of `opens_within`; expected a duration such as 10s"
        );
        assert!(error("refused_good <= 5").ends_with("expected a ratio such as 1%"));
    }
}
