//! `until-successful` as a native retry.

use std::time::Duration;

use fusebox_dataweave::symbol::Symbol;
use serde_json::{Value as Json, json};

use super::at;

use crate::app::{App, Cache, Chain, Does, Flow, FlowId, Site, UntilSuccessful};
use crate::circuit::{Act, Failure, Path, Walk};

/// The most attempts of a native call.
const ATTEMPTS_MAX: u64 = 10;
/// The methods that a native retry repeats unasked.
const REPEATED: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
/// The number of calls that may have all their retries within a second, whatever the traffic.
const CALLS_AT_ONCE: u64 = 10;

/// A scope around a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Around<'a> {
    Retry(&'a Site, &'a UntilSuccessful),
    Cache(&'a Cache),
}

/// The scopes around a call of a flow, from outside in.
pub(super) fn around<'a>(app: &'a App, flow: &'a Flow, call: &Site) -> Vec<Around<'a>> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    find(app, &flow.chain, call, &mut seen, &mut found);
    found
}

/// Looks for the call in a chain; true if it is there. The scopes on the way are left in `found`.
fn find<'a>(
    app: &'a App,
    chain: &'a Chain,
    call: &Site,
    seen: &mut Vec<FlowId>,
    found: &mut Vec<Around<'a>>,
) -> bool {
    for processor in &chain.0 {
        if processor.site == *call {
            return true;
        }
        if let Some(id) = processor.does.flow()
            && !seen.contains(&id)
        {
            seen.push(id);
            if find(app, &app.flow(id).chain, call, seen, found) {
                return true;
            }
        }
        let scope = match &processor.does {
            Does::UntilSuccessful(scope) => Some(Around::Retry(&processor.site, scope)),
            Does::Cache(scope) => Some(Around::Cache(scope)),
            _ => None,
        };
        found.extend(scope);
        for inner in processor.does.chains() {
            if find(app, inner, call, seen, found) {
                return true;
            }
        }
        if scope.is_some() {
            found.pop();
        }
    }
    false
}

/// A retry, with what differs.
pub(super) struct Repeat {
    attempts: u64,
    pause: Duration,
    on: Vec<String>,
    methods: Option<Vec<String>>,
    pub comments: Vec<String>,
}

impl Repeat {
    /// The retry of a call in the scope; the error says why it has no native form.
    ///
    /// `methods` are those that the route takes; `None`: all.
    pub fn of<'a>(
        walk: &Walk<'a>,
        (site, scope): (&Site, &UntilSuccessful),
        paths: &[Path<'a>],
        call: usize,
        methods: Option<&[String]>,
    ) -> Result<Repeat, &'static str> {
        let whole = |symbol: Symbol| u64::try_from(symbol.number()?.to_i64()?).ok();
        let retries = whole(walk.constant(&scope.retries));
        let retries = retries.ok_or("their number is computed")?;
        let pause = whole(walk.constant(&scope.between));
        let pause = pause.ok_or("the pause between them is computed")?;
        let mut comments = Vec::new();
        let at = at(site);
        let attempts = retries.saturating_add(1);
        if attempts > ATTEMPTS_MAX {
            comments.push(format!(
                "differs: the flow tries up to {attempts} times; here {ATTEMPTS_MAX} times {at}"
            ));
        }
        let mut failures: Vec<&Failure> = Vec::new();
        let mut counts_tries = false;
        for path in paths {
            let mut acts = path.acts.iter();
            let outcome = acts.find_map(|act| match act {
                Act::Called {
                    call: of, outcome, ..
                } if *of == call => Some(*outcome),
                _ => None,
            });
            let Some(outcome) = outcome else { continue };
            let mut wrote = false;
            let retried = acts.any(|act| {
                wrote |= matches!(act, Act::Wrote { .. });
                matches!(act, Act::Retried { site: of } if **of == *site)
            });
            if retried {
                counts_tries |= wrote;
                let alike = walk.failures.alike(outcome).iter();
                let new: Vec<_> = alike.filter(|it| !failures.contains(it)).collect();
                failures.extend(new);
            }
        }
        if failures.is_empty() {
            return Err("no failure of the call is repeated");
        }
        let mut on: Vec<String> = Vec::new();
        let mut statuses: Vec<u16> = Vec::new();
        for failure in failures {
            match (failure.status, failure.kind.to_string().as_str()) {
                (Some(status), _) => statuses.push(status),
                (None, "HTTP:TIMEOUT") => on.push("timeout".to_owned()),
                (None, _) => on.extend(["connect_error".to_owned(), "reset".to_owned()]),
            }
        }
        statuses.sort_unstable();
        if statuses
            .iter()
            .any(|status| (400..500).contains(status) && *status != 429)
        {
            comments.push(format!(
                "kept: answers such as 404, which a repeat does not change, are repeated {at}"
            ));
        }
        on.extend(statuses.iter().map(u16::to_string));
        let methods = match methods {
            Some(methods) if methods.iter().all(|it| REPEATED.contains(&it.as_str())) => None,
            Some(methods) => Some(methods.to_vec()),
            None => {
                let all = REPEATED.into_iter().chain(["POST", "PATCH"]);
                Some(all.map(str::to_owned).collect())
            }
        };
        if methods.is_some() {
            comments.push(format!(
                "kept: POST and PATCH are repeated, though the upstream may have done what was asked {at}"
            ));
        }
        if counts_tries {
            comments.push(format!(
                "differs: in the flow each try is counted; here a call is, by its last try {at}"
            ));
        }
        comments.push(format!(
            "mends: when the upstream is down, the repeats of all calls multiply its load; here `budget` bounds them {at}"
        ));
        Ok(Repeat {
            attempts: attempts.clamp(1, ATTEMPTS_MAX),
            pause: Duration::from_millis(pause.max(1)),
            on,
            methods,
            comments,
        })
    }

    /// The time of a call whose attempts take so long each.
    pub fn total(&self, request: Duration) -> Duration {
        let attempts = u32::try_from(self.attempts).unwrap_or(u32::MAX);
        request.saturating_mul(attempts) + self.pause.saturating_mul(attempts.saturating_sub(1))
    }

    /// The native `retry`; `None`: there is one attempt.
    pub fn shown(&self) -> Option<Json> {
        if self.attempts < 2 {
            return None;
        }
        let pause = fusebox_plan::dialect::show_duration(self.pause);
        let mut shown = json!({
            "attempts": self.attempts,
            "on": self.on,
            "backoff": { "base": pause, "max": pause, "jitter": "none" },
            "budget": { "ratio": "20%", "min": (self.attempts - 1) * CALLS_AT_ONCE },
        });
        if let Some(methods) = &self.methods {
            shown["methods"] = json!(methods);
        }
        Some(shown)
    }
}
