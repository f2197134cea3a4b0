//! A file of cases, parsed as a whole; each case runs on its own.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::mapping::{Mapped, map};
use crate::replay::{Trace, replay};
use crate::scenario::{Kind, Scenario};
use crate::subject::{PureMachine, SharedBreaker};

/// The cases of a file, in order.
#[derive(Debug, Deserialize)]
pub struct Suite {
    #[serde(rename = "scenarios")]
    cases: Vec<Case>,
}

/// One case. An error in its body is reported when it runs, and affects no other case.
#[derive(Debug, Deserialize)]
pub struct Case {
    id: String,
    kind: Kind,
    #[serde(default)]
    title: String,
    #[serde(flatten)]
    body: Value,
}

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both implementations of the breaker met the expectations.
    Passed,
    /// An expectation was not met, with the step and the difference; or the reason why the case cannot run.
    Failed(String),
    /// Not run, since a [`Kind::Defect`] expects behaviour that a breaker must not have.
    NotRun,
}

/// The error for a text that is not a file of cases.
#[derive(Debug)]
pub struct ReadError(serde_json::Error);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid scenarios: {}; expected a JSON object with a list `scenarios`, each with `id`, \
             `kind`, `title`, `config` and `steps`",
            self.0
        )
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Suite {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// [`ReadError`] if the text is not valid JSON, or has no list of cases with an id and a kind each.
    pub fn read(text: &str) -> Result<Suite, ReadError> {
        serde_json::from_str(text).map_err(ReadError)
    }

    /// The cases, in the order of the file.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

impl Case {
    /// The case's stable name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The kind of the case, which decides whether it runs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The behaviour that the case shows, in a sentence.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Runs the case on a fresh breaker at time zero, once against the pure machine and once against the shared breaker.
    pub fn run(&self) -> Verdict {
        if self.kind == Kind::Defect {
            return Verdict::NotRun;
        }
        match self.run_both() {
            Ok(()) => Verdict::Passed,
            Err(why) => Verdict::Failed(why),
        }
    }

    fn run_both(&self) -> Result<(), String> {
        let scenario = Scenario::deserialize(&self.body)
            .map_err(|error| format!("invalid scenario: {error}"))?;
        let mapped = map(&scenario)?;
        let pure = against("the machine", replay(&scenario, &mapped, pure(&mapped)?))?;
        let shared = against("the breaker", replay(&scenario, &mapped, shared(&mapped)?))?;
        same(&pure, &shared)
    }
}

fn pure(mapped: &Mapped) -> Result<PureMachine, String> {
    PureMachine::new(mapped.settings.clone()).map_err(|errors| invalid_settings(&errors))
}

fn shared(mapped: &Mapped) -> Result<SharedBreaker, String> {
    SharedBreaker::new(mapped.settings.clone()).map_err(|errors| invalid_settings(&errors))
}

fn invalid_settings(errors: &[fusebox_breaker::settings::SettingsError]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    format!("invalid settings: {}", errors.join("; "))
}

fn against(form: &str, replayed: Result<Trace, String>) -> Result<Trace, String> {
    replayed.map_err(|what| format!("{what} (against {form})"))
}

/// Checks that both implementations did the same in every step, including what the case does not check.
fn same(pure: &Trace, shared: &Trace) -> Result<(), String> {
    for (one, other) in pure.iter().zip(shared) {
        if one != other {
            return Err(format!(
                "step {}: the machine and the breaker differ: {:?}, and {:?}",
                one.step, one.seen, other.seen
            ));
        }
    }
    if pure.len() == shared.len() {
        Ok(())
    } else {
        Err("the machine and the breaker went through a different number of steps".into())
    }
}
