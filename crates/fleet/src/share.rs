//! The kinds of sharing between the breakers of several processes.

use std::fmt;
use std::time::Duration;

use fusebox_breaker::{Over, Rule, Settings, snapshot::RuleKind};

use crate::command::{CountRule, SPAN_MAX};
use crate::node::LEASE_MARGIN;

/// The decisions that the nodes of a fleet share for a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// A trip of one node opens the breaker at all nodes.
    Verdict,
    /// Trips of this many nodes, 1 or more, open the breaker at all nodes; a single trip opens only the node's own. So
    /// one faulty node cannot open the whole fleet. A trip counts until the end of that node's cooldown.
    Quorum(u32),
    /// As [`Share::Verdict`]; in addition failures are counted over the whole fleet, which trips at the threshold of a
    /// single node. Only for rules on consecutive failures and on failures within a time.
    Counts,
}

/// The error for a breaker that cannot be shared as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareError {
    /// The quorum is 0.
    NoQuorum,
    /// A rule cannot be counted over a fleet.
    NotCounted {
        /// The kind of the rule.
        rule: RuleKind,
    },
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShareError::NoQuorum => {
                f.write_str("a quorum of 0 nodes can never open; use 1 or more")
            }
            ShareError::NotCounted { rule } => write!(
                f,
                "{} cannot be counted over a fleet, only consecutive_failures and failures within \
                 a time can; share the verdict, or a quorum of verdicts",
                rule.as_str()
            ),
        }
    }
}

impl std::error::Error for ShareError {}

/// The kind of sharing of a breaker, with the settings that the protocol needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharing {
    /// Number of nodes whose trips open the fleet.
    pub(crate) quorum: u32,
    /// The rules that are counted over the fleet.
    pub(crate) rules: Vec<CountRule>,
    /// The longest time for a probe.
    pub(crate) probe_timeout: Duration,
    /// The cooldown of a trip by the fleet's count, before jitter.
    pub(crate) cooldown: Duration,
    /// The largest random extension of the cooldown, as a fraction of it.
    pub(crate) jitter: f64,
    /// The longest cooldown of any trip, including jitter.
    pub(crate) longest: Duration,
}

impl Sharing {
    /// Prepares the sharing of a breaker with these settings.
    ///
    /// # Errors
    /// [`ShareError::NoQuorum`], or with [`Share::Counts`] an error for the first rule that cannot be counted.
    pub fn new(share: Share, settings: &Settings) -> Result<Self, ShareError> {
        let quorum = match share {
            Share::Quorum(0) => return Err(ShareError::NoQuorum),
            Share::Quorum(nodes) => nodes,
            Share::Verdict | Share::Counts => 1,
        };
        let rules = match share {
            Share::Counts => settings
                .trip
                .iter()
                .map(count_rule)
                .collect::<Result<_, _>>()?,
            Share::Verdict | Share::Quorum(_) => Vec::new(),
        };
        Ok(Sharing {
            quorum,
            rules,
            probe_timeout: settings.half_open.probe_timeout,
            cooldown: settings.cooldown.of_attempt(1),
            jitter: settings.cooldown.jitter,
            longest: settings.cooldown.longest(),
        })
    }

    pub(crate) fn lease(&self) -> Duration {
        self.probe_timeout.saturating_add(LEASE_MARGIN)
    }

    /// True if failures are counted over the fleet.
    pub fn counts(&self) -> bool {
        !self.rules.is_empty()
    }

    pub(crate) fn counts_rows(&self) -> bool {
        self.rules.iter().any(|rule| rule.row)
    }
}

fn count_rule(rule: &Rule) -> Result<CountRule, ShareError> {
    let span = |time: Duration| u64::try_from(time.as_millis()).map_or(SPAN_MAX, |ms| ms.max(1));
    match *rule {
        Rule::ConsecutiveFailures { threshold, within } => Ok(CountRule {
            threshold: threshold.into(),
            within: within.map_or(0, span),
            row: true,
        }),
        Rule::Failures {
            threshold,
            over: Over::Time(time),
            ..
        } => Ok(CountRule {
            threshold: threshold.into(),
            within: span(time),
            row: false,
        }),
        _ => Err(ShareError::NotCounted { rule: rule.kind() }),
    }
}
