//! The breaker beside the Rust crates of its kind: what is measured, for each of the ways to measure it.
//!
//! One operation is what stands around a call that does nothing: to ask, and to tell how the call ended. A refusal is to
//! ask and to be refused. Everybody does the same work in the same state; who cannot be brought into a state, or has no
//! rule of a kind, has no row there.

mod clock;
mod ours;
mod peers;
mod ways;

pub use clock::Tick;

use std::fmt;

/// What is measured of one breaker.
pub struct Case {
    /// What it is.
    pub id: Id,
    /// Makes a breaker in the wanted state, for as many runs as are wanted.
    pub make: Box<dyn Fn() -> Run + Send>,
}

/// So many operations on a breaker; panics if one of them was answered otherwise than it must be.
///
/// The number is a multiple of [`ROUND`].
pub type Run = Box<dyn Fn(u64) + Send + Sync>;

/// The case's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The rule.
    pub rule: Rule,
    /// What is done.
    pub operation: Operation,
    /// By whom.
    pub who: &'static str,
}

/// The rule that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So many failures in a row.
    Contiguous,
    /// A rate over the last 100 calls.
    Calls,
    /// A rate over the last 10 s.
    Time,
    /// What only we have: one row for each.
    Own,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Closed: ask, and tell a success.
    Success,
    /// Closed: ask, and tell a failure, 19 times of 20, so that no rule is met; the 20th is a success.
    Failure,
    /// Open: ask, and be refused.
    RefusedOpen,
    /// Half-open with all its probes in flight: ask, and be refused.
    RefusedHalfOpen,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 4] = [Rule::Contiguous, Rule::Calls, Rule::Time, Rule::Own];

    /// A short name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::Contiguous => "contiguous",
            Rule::Calls => "100 calls",
            Rule::Time => "10 s",
            Rule::Own => "other",
        }
    }
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 4] = [
        Operation::Success,
        Operation::Failure,
        Operation::RefusedOpen,
        Operation::RefusedHalfOpen,
    ];

    /// A short name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Success => "closed, success",
            Operation::Failure => "closed, failure",
            Operation::RefusedOpen => "open, refused",
            Operation::RefusedHalfOpen => "half-open, refused",
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.rule.as_str(),
            self.operation.as_str(),
            self.who
        )
    }
}

/// A success comes once in so many calls among failures. At four threads no 100 calls in a row are then failures alone.
pub const ROUND: u64 = 20;

/// All cases: ours first, then the peers, for each rule and operation.
pub fn cases(tick: &Tick) -> Vec<Case> {
    let mut cases = Vec::new();
    for rule in Rule::ALL {
        for operation in Operation::ALL {
            cases.extend(ours::cases(rule, operation, tick));
            cases.extend(ways::cases(rule, operation, tick));
            cases.extend(peers::cases(rule, operation));
        }
    }
    cases
}

/// Runs operations that tell success or failure, as `operation` says, and checks how each was answered.
fn run(operation: Operation, ask_and_tell: impl Fn(bool) -> bool + Send + Sync + 'static) -> Run {
    Box::new(move |times| run_here(operation, times, &ask_and_tell))
}

#[inline(always)]
fn run_here(operation: Operation, times: u64, ask_and_tell: impl Fn(bool) -> bool) {
    match operation {
        Operation::Success => successes(times, || ask_and_tell(true)),
        Operation::Failure => {
            let mut passed = 0;
            for _ in 0..times / ROUND {
                passed += u64::from(ask_and_tell(true));
                for _ in 1..ROUND {
                    passed += u64::from(ask_and_tell(false));
                }
            }
            assert_eq!(passed, times, "no rule is met");
        }
        Operation::RefusedOpen | Operation::RefusedHalfOpen => {
            refusals(times, || ask_and_tell(true))
        }
    }
}

#[inline(always)]
fn successes(times: u64, ask_and_tell: impl Fn() -> bool) {
    let passed = (0..times).filter(|_| ask_and_tell()).count();
    assert_eq!(
        passed as u64, times,
        "a closed breaker lets every call pass"
    );
}

#[inline(always)]
fn refusals(times: u64, ask_and_tell: impl Fn() -> bool) {
    let passed = (0..times).filter(|_| ask_and_tell()).count();
    assert_eq!(passed, 0, "every call is refused");
}

/// Fails calls until one is refused.
fn trip(ask_and_tell: impl Fn(bool) -> bool) {
    let refused = (0..100_000).any(|_| !ask_and_tell(false));
    assert!(refused, "100,000 failures open every breaker");
}
