//! Counts how often the rules had enough calls to judge.

use std::collections::VecDeque;

use fusebox_breaker::settings::WindowKind;
use fusebox_breaker::{Over, Rule, Settings};

use super::Report;

/// Counts of one rule that needs a number of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Judging {
    /// The rule's name, such as `failure_rate`.
    pub rule: &'static str,
    /// The fewest calls on which it decides.
    pub min_calls: u32,
    /// Outcomes at which its window held fewer.
    pub too_few: u64,
}

/// A shadow of the windows that holds times alone.
#[derive(Debug)]
pub struct Enough {
    rules: Vec<Shadow>,
    /// True if a rule decides on any number of calls.
    any: bool,
    seen: u64,
    unjudged: u64,
}

#[derive(Debug)]
struct Shadow {
    over: Over,
    tumbling: bool,
    times: VecDeque<u64>,
    judging: Judging,
}

impl Enough {
    pub fn of(settings: &Settings) -> Enough {
        let needs = |rule: &&Rule| rule.min_calls() > 0;
        let shadow = |rule: &Rule| {
            Some(Shadow {
                over: rule.over()?,
                tumbling: settings.window == WindowKind::Tumbling,
                times: VecDeque::new(),
                judging: Judging {
                    rule: rule.kind().as_str(),
                    min_calls: rule.min_calls(),
                    too_few: 0,
                },
            })
        };
        Enough {
            rules: settings
                .trip
                .iter()
                .filter(needs)
                .filter_map(shadow)
                .collect(),
            any: settings.trip.iter().any(|rule| rule.min_calls() == 0),
            seen: 0,
            unjudged: 0,
        }
    }

    /// Takes in an outcome that is counted while closed.
    pub fn see(&mut self, at: u64) {
        self.seen += 1;
        let mut some = self.any;
        for shadow in &mut self.rules {
            some |= shadow.see(at);
        }
        self.unjudged += u64::from(!some);
    }

    /// Begins with empty windows.
    pub fn begin(&mut self) {
        self.rules
            .iter_mut()
            .for_each(|shadow| shadow.times.clear());
    }

    pub fn into_report(self, report: &mut Report) {
        report.judged_of = self.seen;
        report.unjudged = self.unjudged;
        report.judging = self.rules.into_iter().map(|it| it.judging).collect();
    }
}

impl Shadow {
    /// Takes in an outcome; true if the window now holds enough.
    fn see(&mut self, at: u64) -> bool {
        match self.over {
            Over::Time(time) => {
                let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                let is_old = |first: &u64| at.saturating_sub(*first) >= time;
                if self.tumbling {
                    if self.times.front().is_some_and(is_old) {
                        self.times.clear();
                    }
                } else {
                    while self.times.front().is_some_and(is_old) {
                        self.times.pop_front();
                    }
                }
                self.times.push_back(at);
            }
            // Only their number matters.
            _ => {
                if self.times.len() < self.judging.min_calls as usize {
                    self.times.push_back(at);
                }
            }
        }
        let enough = self.times.len() >= self.judging.min_calls as usize;
        self.judging.too_few += u64::from(!enough);
        enough
    }
}
