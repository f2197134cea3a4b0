//! The requests of a flow: their parts, and those without a native form.

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::{Sign, Symbol};
use fusebox_plan::dialect::quote;

use super::target::{self, Target};
use crate::app::{Flow, Site};
use crate::circuit::{Act, Outcome, Path, SentRequest, Walk};

/// The one request that a flow makes at a call.
pub(super) struct Sent<'w> {
    pub request: &'w SentRequest,
    pub target: Target,
}

impl<'w> Sent<'w> {
    /// The request of a call on all paths; the error says why it has no native form.
    pub fn of<'a>(walk: &Walk<'a>, paths: &'w [Path<'a>], call: usize) -> Result<Sent<'w>, String> {
        let mut sent: Option<&'w SentRequest> = None;
        for act in paths.iter().flat_map(|path| &path.acts) {
            let Act::Called {
                call: at,
                sent: this,
                ..
            } = act
            else {
                continue;
            };
            if *at != call {
                continue;
            }
            // The body is the client's here, whatever the flow has read into the message.
            let head = |sent: &SentRequest| SentRequest {
                body: None,
                ..sent.clone()
            };
            if sent.is_some_and(|sent| head(sent) != head(this)) {
                return Err("its call depends on the request".to_owned());
            }
            sent = Some(this);
        }
        let request = sent.ok_or("it has no call")?;
        let target = target::of(&walk.calls[call], request)?;
        Ok(Sent { request, target })
    }

    /// The address of another server for the same path: the rest of its own path belongs to it.
    pub fn base_beside(&self, first: &Sent<'_>) -> Result<String, String> {
        let (own, path) = (&self.target, &first.target.path);
        let prefix = own.path.strip_suffix(path.as_str());
        match prefix.filter(|prefix| !prefix.contains(['{', '?'])) {
            Some(prefix) if self.request.method == first.request.method => {
                Ok(format!("{}{prefix}", own.base))
            }
            Some(_) => Err("its second call has another method".to_owned()),
            None => {
                Err("the path of its second call does not end with that of the first".to_owned())
            }
        }
    }

    /// True if the method may be one that Mule's client repeats by itself.
    pub fn is_idempotent(&self) -> bool {
        let method = match &self.request.method {
            Symbol::Known(Value::String(method)) => method.to_ascii_uppercase(),
            _ => return true,
        };
        ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].contains(&method.as_str())
    }

    /// The parts of the request that the flow adds, and the route does not.
    ///
    /// `replaces_message`: the flow reads its circuit's state over the client's message, which is a flaw of the circuit.
    pub fn added(&self, flow: &Flow, site: &Site, replaces_message: bool) -> Vec<(Site, String)> {
        let name = quote(&flow.name);
        let mut lost = Vec::new();
        let mut lose = |what: String| lost.push((site.clone(), what));
        let clients = Symbol::input("attributes").field("queryParams");
        if self
            .request
            .query
            .as_ref()
            .is_some_and(|query| *query != clients)
        {
            lose(format!("the query that {name} adds"));
        }
        if let Some(query) = &self.target.query {
            lose(format!("the query {} of {name}", quote(query)));
        }
        let clients = Symbol::input("attributes").field("headers");
        // The gateway sends a `Host` of its own.
        let without_host = clients.clone().sum(Sign::Minus, Symbol::text("host"));
        if self
            .request
            .headers
            .as_ref()
            .is_some_and(|it| *it != clients && *it != without_host)
        {
            lose(format!("the headers that {name} adds"));
        }
        let of_client = |body: &Symbol| {
            *body == Symbol::input("payload")
                || replaces_message
                || matches!(body, Symbol::Entry(_) | Symbol::If(..))
        };
        if self
            .request
            .body
            .as_ref()
            .is_some_and(|body| !of_client(body))
        {
            lose(format!("the body that {name} makes"));
        }
        lost
    }
}

/// A call on a path, with its outcome.
pub(super) fn called(act: &Act<'_>) -> Option<(usize, Outcome)> {
    match act {
        Act::Called { call, outcome, .. } => Some((*call, *outcome)),
        _ => None,
    }
}

/// The outcome of a call on a path.
pub(super) fn outcome(path: &Path<'_>, of: usize) -> Option<Outcome> {
    let mut calls = path.acts.iter().filter_map(called);
    Some(calls.find(|(call, _)| *call == of)?.1)
}

/// True if a call is made only after a failure of another one.
pub(super) fn is_second(paths: &[Path<'_>], first: usize, second: usize) -> bool {
    paths.iter().all(|path| {
        let calls: Vec<(usize, Outcome)> = path.acts.iter().filter_map(called).collect();
        match calls[..] {
            [] => true,
            [(one, _)] => one == first,
            [(one, outcome), (other, _)] => {
                one == first && other == second && outcome != Outcome::Good
            }
            _ => false,
        }
    })
}

/// True if every success of the call is answered with the upstream's answer.
pub(super) fn passes_on(paths: &[Path<'_>]) -> bool {
    let response = Symbol::input("response");
    let mut good = paths.iter().filter(|path| {
        let last = path.acts.iter().rev().find_map(called);
        last.is_some_and(|(_, outcome)| outcome == Outcome::Good)
    });
    good.all(|path| path.payload == response && path.raised.is_none())
}
