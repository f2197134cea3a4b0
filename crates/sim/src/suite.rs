//! A file of cases: read as a whole, each run for itself.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::mapping::{Mapped, map};
use crate::replay::{Trace, replay};
use crate::scenario::{Kind, Scenario};
use crate::subject::{Pure, Shared};

/// The cases of a file, in their order.
#[derive(Debug)]
pub struct Suite {
    cases: Vec<Case>,
}

/// One case. A fault in it shows when it is run, and concerns no other.
#[derive(Debug)]
pub struct Case {
    id: String,
    kind: Kind,
    title: String,
    body: Value,
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected, against both forms of the breaker.
    Passed,
    /// Otherwise: at which step and what came instead, or why it cannot be run.
    Failed(String),
    /// A [`Kind::Defect`]: what it expects is what a breaker must not do.
    NotRun,
}

/// Why a text is no file of cases.
#[derive(Debug)]
pub struct ReadError(serde_json::Error);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no scenarios could be read: {}; the text must be a JSON object with a list `scenarios`, each with `id`, \
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

#[derive(Deserialize)]
struct File {
    scenarios: Vec<Head>,
}

#[derive(Deserialize)]
struct Head {
    id: String,
    kind: Kind,
    #[serde(default)]
    title: String,
    #[serde(flatten)]
    body: Value,
}

impl Suite {
    /// Reads a file's text.
    ///
    /// # Errors
    /// When the text is no JSON, or holds no list of cases with an id and a kind each.
    pub fn read(text: &str) -> Result<Suite, ReadError> {
        let file: File = serde_json::from_str(text).map_err(ReadError)?;
        let cases = file.scenarios.into_iter().map(|head| Case {
            id: head.id,
            kind: head.kind,
            title: head.title,
            body: head.body,
        });
        Ok(Suite {
            cases: cases.collect(),
        })
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

    /// What is expected of it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it shows, in a sentence.
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
            .map_err(|error| format!("the scenario cannot be read: {error}"))?;
        let mapped = map(&scenario)?;
        let pure = against("the machine", replay(&scenario, &mapped, pure(&mapped)?))?;
        let shared = against("the breaker", replay(&scenario, &mapped, shared(&mapped)?))?;
        same(&pure, &shared)
    }
}

fn pure(mapped: &Mapped) -> Result<Pure, String> {
    Pure::new(mapped.settings.clone()).map_err(|errors| refused(&errors))
}

fn shared(mapped: &Mapped) -> Result<Shared, String> {
    Shared::new(mapped.settings.clone()).map_err(|errors| refused(&errors))
}

fn refused(errors: &[fusebox_breaker::settings::SettingsError]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    format!("the settings are refused: {}", errors.join("; "))
}

fn against(form: &str, replayed: Result<Trace, String>) -> Result<Trace, String> {
    replayed.map_err(|what| format!("{what} (against {form})"))
}

/// Both forms must have done the same in every step, in what no case asks for too.
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
