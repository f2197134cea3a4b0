//! The effects of policies on a path.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_dataweave::MediaType;
use fusebox_dataweave::symbol::Symbol;

use super::{Ends, Path, Raised, Walk};
use crate::app::{Compat, Flow, Given, HttpSource, PolicyStep, Request, Site, Source};

impl<'a> Walk<'a> {
    /// The paths through a flow that an event enters, with the policies around it.
    pub(super) fn entered(&mut self, flow: &'a Flow, path: Path<'a>) -> Ends<'a> {
        match &flow.source {
            Some(Source::Http(_)) if !self.app.policies.sources.is_empty() => {
                self.within = Some((flow, 0));
                let ends = self.next(path, 0);
                self.within = None;
                ends
            }
            _ => self.flow(flow, path, 0),
        }
    }

    pub(super) fn policy_step(
        &mut self,
        step: &'a PolicyStep,
        mut path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        match step {
            PolicyStep::ExecuteNext => return self.execute_next(path, depth),
            PolicyStep::AddHeaders { .. }
            | PolicyStep::AddHeaderList { .. }
            | PolicyStep::RemoveHeaders(_) => {}
            PolicyStep::SetResponse { status, body, .. } => {
                let status = status.as_ref().map(|status| self.given(status, &path));
                path.media_type = body.as_ref().and_then(|body| match body {
                    Given::Expression(script) => script.output().cloned(),
                    _ => Some(MediaType::any()),
                });
                let body = body.as_ref().map(|body| self.given(body, &path));
                path.payload = body.unwrap_or(Symbol::text(""));
                path.attributes = response(status.unwrap_or(Symbol::NULL));
            }
            PolicyStep::SetRequest { .. } => path.payload = Symbol::Unknown,
        }
        vec![(path, None)]
    }

    /// True if requests have policies around them here.
    pub(super) fn guards_requests(&self) -> bool {
        let is_policy = self.operation.is_some() || self.within.is_some();
        !is_policy && !self.app.policies.operations.is_empty()
    }

    /// The paths through the policies around a request.
    pub(super) fn guarded_request(
        &mut self,
        request: &'a Request,
        site: &'a Site,
        path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let inner = Path {
            vars: BTreeMap::new(),
            error: Symbol::NULL,
            payload: match &request.body {
                Some(body) => self.given(body, &path),
                None => path.payload.clone(),
            },
            ..path.clone()
        };
        let mut ends = self.around_operation((request, site, 0), inner, depth);
        for (end, raised) in &mut ends {
            let (payload, attributes) = (end.payload.clone(), end.attributes.clone());
            *end = path.with_acts_of(end.clone());
            if raised.is_some() {
                continue;
            }
            match &request.target {
                Some(target) => self.set_target(target, payload, attributes, end),
                None => (end.payload, end.attributes, end.media_type) = (payload, attributes, None),
            }
        }
        ends
    }

    /// The policy with a number around a request, or the request itself.
    fn around_operation(
        &mut self,
        (request, site, number): (&'a Request, &'a Site, usize),
        path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let before = self.operation;
        self.operation = Some((request, site, number + 1));
        let ends = match self.app.policies.operations.get(number) {
            Some(policy) => self.chain(&self.app.flow(policy.flow).chain, path, depth + 1),
            None => {
                let mut ends = self.request(request, site, path);
                let good = ends.iter_mut().filter(|(_, raised)| raised.is_none());
                for (path, _) in good.filter(|_| request.target.is_some()) {
                    path.payload = Symbol::input("response");
                }
                ends
            }
        };
        self.operation = before;
        ends
    }

    /// The next policy, or the flow within, with its response.
    fn next(&mut self, path: Path<'a>, depth: usize) -> Ends<'a> {
        let Some((flow, number)) = self.within else {
            return vec![(path, None)];
        };
        if let Some(policy) = self.app.policies.sources.get(number) {
            self.within = Some((flow, number + 1));
            let ends = self.chain(&self.app.flow(policy.flow).chain, path, depth);
            self.within = Some((flow, number));
            return ends;
        }
        self.within = None;
        let mut ends = self.flow(flow, path, depth + 1);
        self.within = Some((flow, number));
        if let Some(Source::Http(source)) = &flow.source {
            for (path, raised) in &mut ends {
                self.respond(source, path, raised.as_ref());
            }
        }
        ends
    }

    fn execute_next(&mut self, path: Path<'a>, depth: usize) -> Ends<'a> {
        if let Some(operation) = self.operation {
            let inner = Path {
                vars: BTreeMap::new(),
                error: Symbol::NULL,
                ..path.clone()
            };
            let mut ends = self.around_operation(operation, inner, depth);
            for (end, _) in &mut ends {
                end.vars = path.vars.clone();
                end.error = path.error.clone();
            }
            return ends;
        }
        let number = self.within.map_or(0, |(_, number)| number);
        let policies = &self.app.policies.sources;
        let policy = number.checked_sub(1).and_then(|it| policies.get(it));
        let mut inner = Path {
            vars: BTreeMap::new(),
            error: Symbol::NULL,
            ..path.clone()
        };
        if !policy.is_some_and(|policy| policy.propagates) {
            inner.payload = Symbol::input("payload");
            inner.attributes = Symbol::input("attributes");
            inner.media_type = None;
        }
        let mut ends = self.next(inner, depth);
        for (end, _) in &mut ends {
            end.vars = path.vars.clone();
            end.error = path.error.clone();
        }
        ends
    }

    /// Makes the response of a flow the message.
    fn respond(&self, source: &'a HttpSource, path: &mut Path<'a>, raised: Option<&Raised>) {
        let own = match raised {
            None => &source.response,
            Some(_) => &source.error_response,
        };
        let default = if raised.is_none() { 200 } else { 500 };
        let seen = Path {
            raised: raised.cloned(),
            ..path.clone()
        };
        let given = own.as_ref().and_then(|own| own.status.as_ref());
        let variable = path.vars.get("httpStatus").cloned();
        let variable = variable.filter(|_| own.is_none() && self.app.compat == Compat::Intent);
        let status = match given {
            Some(given) => self.at_end(given, &seen),
            None => variable.unwrap_or(Symbol::Known(i64::from(default).into())),
        };
        let body = own.as_ref().and_then(|own| own.body.as_ref());
        path.payload = match (body, raised) {
            (Some(body), _) => self.at_end(body, &seen),
            (None, Some(raised)) => raised.description.clone(),
            (None, None) => path.payload.clone(),
        };
        path.media_type = None;
        path.attributes = response(status);
    }
}

/// The attributes of a response with a status.
fn response(status: Symbol) -> Symbol {
    let fields = [(Arc::from("statusCode"), status)];
    Symbol::input("attributes").concat(Symbol::object(None, fields.into()))
}
