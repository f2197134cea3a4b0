//! How calls end, in classes that the handlers and validators of an application treat alike.

use std::collections::BTreeSet;

use crate::app::{App, ErrorMatch, ErrorType, Request};

/// The end of a call: one class of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A response that is not a failure.
    Good,
    /// A failure that raises an error, by the index of its class.
    Failed(usize),
    /// A failure that the validator accepts, by the index of its class.
    Passed(usize),
}

/// A result of a call that may count as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error's type.
    pub kind: ErrorType,
    /// The response's status; `None`: there was no response.
    pub status: Option<u16>,
}

/// The failures, in classes that an application treats alike.
pub(crate) struct Failures {
    kinds: Vec<Vec<Failure>>,
}

/// The failures in consideration, with the status of their response.
/// ([Errors of the connector](https://docs.mulesoft.com/http-connector/latest/http-documentation))
const ALL: [(&str, Option<u16>); 12] = [
    ("HTTP:CONNECTIVITY", None),
    ("HTTP:TIMEOUT", None),
    ("HTTP:INTERNAL_SERVER_ERROR", Some(500)),
    ("HTTP:BAD_GATEWAY", Some(502)),
    ("HTTP:SERVICE_UNAVAILABLE", Some(503)),
    ("HTTP:GATEWAY_TIMEOUT", Some(504)),
    ("HTTP:TOO_MANY_REQUESTS", Some(429)),
    ("HTTP:BAD_REQUEST", Some(400)),
    ("HTTP:UNAUTHORIZED", Some(401)),
    ("HTTP:FORBIDDEN", Some(403)),
    ("HTTP:NOT_FOUND", Some(404)),
    ("MULE:UNKNOWN", Some(409)),
];

/// The failures in consideration.
pub(crate) fn all() -> Vec<Failure> {
    let failure = |(kind, status): &(&str, Option<u16>)| Failure {
        kind: ErrorType::parse(kind),
        status: *status,
    };
    ALL.iter().map(failure).collect()
}

impl Failures {
    /// Groups the failures by the handlers and mappings of an application.
    pub fn of(app: &App) -> Failures {
        let matches = matches(app);
        let tested = tested_statuses(app);
        let mut kinds: Vec<(Vec<bool>, Option<u16>, Vec<Failure>)> = Vec::new();
        for failure in all() {
            let taken = matches.iter().map(|types| types.matches(&failure.kind));
            let taken: Vec<bool> = taken.collect();
            // Expressions may test the status.
            let class = failure.status.map(|status| match status {
                429 => 429,
                status if tested.contains(&status) => status,
                other => other / 100,
            });
            let mut known = kinds.iter_mut();
            match known.find(|(known, of, _)| *known == taken && *of == class) {
                Some((.., alike)) => alike.push(failure),
                None => kinds.push((taken, class, vec![failure])),
            }
        }
        Failures {
            kinds: kinds.into_iter().map(|(.., alike)| alike).collect(),
        }
    }

    /// The possible ends of a request.
    pub fn outcomes(&self, request: &Request) -> Vec<Outcome> {
        let validator = request.validator.as_ref().or_else(|| {
            let config = request.config.as_ref()?;
            config.validator.as_ref()
        });
        let mut outcomes = vec![Outcome::Good];
        for (number, kind) in self.kinds.iter().enumerate() {
            let passes = |status: u16| validator.is_some_and(|validator| validator.accepts(status));
            outcomes.push(match kind[0].status {
                Some(status) if passes(status) => Outcome::Passed(number),
                _ => Outcome::Failed(number),
            });
        }
        outcomes
    }

    /// The error of an outcome that raises one.
    pub fn error(&self, outcome: Outcome) -> Option<&ErrorType> {
        match outcome {
            Outcome::Failed(number) => Some(&self.kinds[number][0].kind),
            Outcome::Good | Outcome::Passed(_) => None,
        }
    }

    /// The response's status, if the outcome has one.
    pub fn status(&self, outcome: Outcome) -> Option<u16> {
        self.alike(outcome).first()?.status
    }

    /// The failures of an outcome's class; empty for a good one.
    pub fn alike(&self, outcome: Outcome) -> &[Failure] {
        match outcome {
            Outcome::Good => &[],
            Outcome::Failed(number) | Outcome::Passed(number) => &self.kinds[number],
        }
    }
}

/// The statuses that expressions name together with `statusCode`.
fn tested_statuses(app: &App) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    app.walk(&mut |processor| {
        for script in processor.does.scripts() {
            let source = script.source();
            if !source.contains("statusCode") {
                continue;
            }
            let numbers = source.split(|c: char| !c.is_ascii_digit());
            found.extend(numbers.filter_map(|number| number.parse::<u16>().ok()));
        }
    });
    found
}

/// The error patterns of all handlers and mappings.
fn matches(app: &App) -> Vec<&ErrorMatch> {
    let mut found = Vec::new();
    app.walk(&mut |processor| {
        found.extend(processor.mappings.iter().map(|mapping| &mapping.source));
        let handlers = processor.does.handlers().iter();
        found.extend(handlers.flat_map(|handler| &handler.types));
    });
    let outer = app.flows.iter().filter_map(|flow| flow.handlers.as_ref());
    let outer = outer
        .chain(&app.default_handlers)
        .flat_map(|handlers| &handlers.0);
    found.extend(outer.flat_map(|handler| &handler.types));
    found
}
