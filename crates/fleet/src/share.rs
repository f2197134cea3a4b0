//! What a breaker shares with the same breaker of other processes.

use std::fmt;
use std::time::Duration;

use fusebox_breaker::{Over, Rule, Settings, snapshot::RuleKind};

use crate::command::{CountRule, SPAN_MAX};
use crate::node::LEASE_MARGIN;

/// What the nodes of a fleet decide together about a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The trip of one node opens all.
    Verdict,
    /// The trips of so many nodes, 1 or more, open all; each one's own opens itself. So one bad node cannot take the
    /// fleet down. A trip counts for as long as that node's own cooldown.
    Quorum(u32),
    /// As [`Share::Verdict`], and failures are counted over the fleet, which trips at the count at which one node would.
    /// Only for failures in a row and failures within a time.
    Counts,
}

/// Why a breaker cannot be shared so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareError {
    /// A quorum of nobody.
    NoQuorum,
    /// A rule that cannot be counted over a fleet.
    NotCounted {
        /// The rule.
        rule: RuleKind,
    },
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShareError::NoQuorum => {
                f.write_str("a quorum of 0 would open for nobody; ask for 1 node or more")
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

/// How a breaker is shared, with what the fleet must know of its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharing {
    /// How many nodes' trips open all.
    pub(crate) quorum: u32,
    /// What is counted over the fleet.
    pub(crate) rules: Vec<CountRule>,
    /// The longest that a probe takes.
    pub(crate) probe_timeout: Duration,
    /// The cooldown of a trip by the fleet's count, before jitter.
    pub(crate) cooldown: Duration,
    /// How much longer it may be drawn, as a share of it.
    pub(crate) jitter: f64,
    /// The longest cooldown of any trip.
    pub(crate) longest: Duration,
}

impl Sharing {
    /// How a breaker with these settings is shared.
    ///
    /// # Errors
    /// [`ShareError::NoQuorum`], and with [`Share::Counts`] the first rule that cannot be counted.
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
                .map(counted)
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

    /// How long a lease lasts.
    pub(crate) fn lease(&self) -> Duration {
        self.probe_timeout.saturating_add(LEASE_MARGIN)
    }

    /// Whether failures are counted over the fleet.
    pub fn counts(&self) -> bool {
        !self.rules.is_empty()
    }

    pub(crate) fn counts_rows(&self) -> bool {
        self.rules.iter().any(|rule| rule.row)
    }
}

fn counted(rule: &Rule) -> Result<CountRule, ShareError> {
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
