//! The effects of processors on a path.

use std::rc::Rc;
use std::sync::Arc;

use fusebox_dataweave::symbol::{Relation, Symbol};

use super::conditions::asked;
use super::{Act, Call, DEPTH_MAX, Ends, Raised, Sent, WAYS_MAX, Walk, Way, push, text};
use crate::app::{
    Chain, Choice, Does, ErrorType, FlowName, Given, Request, SendBody, Site, Target,
    ValidationRule,
};

impl<'a> Walk<'a> {
    pub(super) fn does(
        &mut self,
        does: &'a Does,
        site: &'a Site,
        mut way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        match does {
            Does::FlowRef { flow, target } => return self.flow_ref(flow, target, way, depth),
            Does::SetVariable(set) => {
                let value = self.given(&set.value, &way);
                if let Some(name) = text(&self.given(&set.name, &way)) {
                    way.vars.insert(name, value);
                }
            }
            Does::RemoveVariable(name) => {
                if let Some(name) = text(&self.given(name, &way)) {
                    way.vars.remove(&name);
                }
            }
            Does::SetPayload { value, media_type } => {
                way.payload = self.given(value, &way);
                way.media_type = media_type.clone();
            }
            Does::Transform(transform) => {
                let payload = transform.payload.as_ref();
                let payload = payload.map(|script| self.value(script, &way));
                let attributes = transform.attributes.as_ref();
                let attributes = attributes.map(|script| self.value(script, &way));
                let mut vars = Vec::new();
                for (name, script) in &transform.variables {
                    if let Some(name) = text(&self.given(name, &way)) {
                        vars.push((name, self.value(script, &way)));
                    }
                }
                way.vars.extend(vars);
                way.payload = payload.unwrap_or(way.payload);
                way.attributes = attributes.unwrap_or(way.attributes);
            }
            Does::Logger(_) | Does::Publish(_) => {}
            Does::Choice(choice) => return self.choice(choice, site, way, depth),
            Does::Try(scope) => {
                let ends = self.chain(&scope.chain, way, depth);
                return self.handled(ends, scope.handlers.as_deref(), depth);
            }
            Does::RaiseError(raise) => {
                let description = match &raise.description {
                    Some(description) => self.given(description, &way),
                    None => Symbol::text("An error occurred."),
                };
                let raised = Raised {
                    kind: raise.kind.clone(),
                    description,
                    cause: None,
                };
                return vec![(way, Some(raised))];
            }
            Does::UntilSuccessful(scope) => {
                let mut ends = self.chain(&scope.chain, way, depth);
                for raised in ends.iter_mut().filter_map(|(_, raised)| raised.as_mut()) {
                    let cause = raised.cause.take().unwrap_or_else(|| raised.kind.clone());
                    *raised = Raised {
                        kind: ErrorType::new("MULE", "RETRY_EXHAUSTED"),
                        description: Symbol::Unknown,
                        cause: Some(cause),
                    };
                }
                return ends;
            }
            Does::Foreach(scope) => {
                let (payload, attributes) = (way.payload.clone(), way.attributes.clone());
                way.payload = Symbol::Unknown;
                let mut ends = self.chain(&scope.chain, way, depth);
                for (way, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
                    way.payload = payload.clone();
                    way.attributes = attributes.clone();
                }
                return ends;
            }
            Does::ParallelForeach(scope) => {
                let routes = [&scope.chain];
                return self.routes(routes, scope.target.as_ref(), true, way, depth);
            }
            Does::ScatterGather(scope) => {
                return self.routes(&scope.routes, scope.target.as_ref(), false, way, depth);
            }
            Does::Async(scope) => {
                let before = way.clone();
                let ends = self.chain(&scope.chain, way, depth);
                let back = ends.into_iter().map(|(way, _)| (before.beside(way), None));
                return back.collect();
            }
            Does::FirstSuccessful(scope) => {
                let mut done: Ends<'a> = Vec::new();
                let mut left = vec![(way.clone(), None)];
                for route in &scope.routes {
                    let mut failed = Vec::new();
                    for (from, _) in left {
                        for (end, raised) in self.chain(route, way.beside(from), depth) {
                            match raised {
                                Some(raised) => failed.push((end, Some(raised))),
                                None => push(&mut done, (end, None)),
                            }
                        }
                    }
                    left = failed;
                }
                done.extend(left);
                return done;
            }
            Does::RoundRobin(scope) => {
                let routes = scope.routes.iter();
                let ends = routes.flat_map(|route| self.chain(route, way.clone(), depth));
                return ends.collect();
            }
            Does::Request(request) => return self.request(request, site, way),
            Does::Object(call) => return self.object(call, site, way),
            Does::Cache(scope) => return self.chain(&scope.chain, way, depth),
            Does::Validation(validation) => return self.validation(&validation.rule, site, way),
            Does::Sleep(_) => {
                way.payload = Symbol::NULL;
                way.attributes = Symbol::NULL;
            }
        }
        vec![(way, None)]
    }

    fn flow_ref(
        &mut self,
        flow: &'a FlowName,
        target: &'a Option<Target>,
        mut way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let FlowName::Known(id) = flow else {
            if matches!(flow, FlowName::Computed(_)) {
                way.payload = Symbol::Unknown;
            }
            return vec![(way, None)];
        };
        if depth >= DEPTH_MAX {
            self.spent = true;
            return vec![(way, None)];
        }
        let app = self.app;
        let before = target.as_ref().map(|_| way.clone());
        let mut ends = self.flow(app.flow(*id), way, depth + 1);
        if let (Some(before), Some(target)) = (before, target) {
            for (way, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
                let (payload, attributes) = (way.payload.clone(), way.attributes.clone());
                *way = before.beside(way.clone());
                self.set_target(target, payload, attributes, way);
            }
        }
        ends
    }

    /// Concurrent routes, walked one after another.
    fn routes(
        &mut self,
        routes: impl IntoIterator<Item = &'a Chain>,
        target: Option<&'a Target>,
        items: bool,
        way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let mut ends: Ends<'a> = vec![(way.clone(), None)];
        for route in routes {
            let mut next: Ends<'a> = Vec::new();
            for (from, before) in ends {
                let mut start = way.beside(from);
                if items {
                    start.payload = Symbol::Unknown;
                }
                for (end, raised) in self.chain(route, start, depth) {
                    let cause = raised.map(|raised| raised.cause.unwrap_or(raised.kind));
                    let raised = before.clone().or(cause.map(|cause| Raised {
                        kind: ErrorType::new("MULE", "COMPOSITE_ROUTING"),
                        description: Symbol::Unknown,
                        cause: Some(cause),
                    }));
                    push(&mut next, (way.beside(end), raised));
                }
            }
            ends = next;
            if ends.len() > WAYS_MAX {
                self.spent = true;
                break;
            }
        }
        for (way, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
            match target {
                Some(target) => {
                    way.vars.insert(target.variable.clone(), Symbol::Unknown);
                }
                None => way.payload = Symbol::Unknown,
            }
        }
        ends
    }

    fn choice(
        &mut self,
        choice: &'a Choice,
        site: &'a Site,
        way: Way<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let mut ends = Vec::new();
        let mut left = vec![way];
        for (when, chain) in &choice.whens {
            let mut next = Vec::new();
            for way in left {
                for (way, holds) in self.script(when, way, site) {
                    if holds {
                        ends.extend(self.chain(chain, way, depth));
                    } else if !next.contains(&way) {
                        next.push(way);
                    }
                }
            }
            left = next;
        }
        for way in left {
            match &choice.otherwise {
                Some(chain) => ends.extend(self.chain(chain, way, depth)),
                None => ends.push((way, None)),
            }
        }
        ends
    }

    fn request(&mut self, request: &'a Request, site: &'a Site, way: Way<'a>) -> Ends<'a> {
        let call = match self.calls.iter().position(|call| call.site == site) {
            Some(call) => call,
            None => {
                self.calls.push(Call { site, request });
                self.calls.len() - 1
            }
        };
        let body = match &request.body {
            Some(body) => self.given(body, &way),
            None => way.payload.clone(),
        };
        let method = self.given(&request.method, &way);
        let bodiless = text(&method).is_some_and(|method| {
            ["GET", "HEAD", "OPTIONS"]
                .iter()
                .any(|plain| method.eq_ignore_ascii_case(plain))
        });
        let mode = request.send_body.unwrap_or_else(|| {
            let config = request.config.as_ref();
            config.map_or(SendBody::Auto, |config| config.send_body)
        });
        let sends = match mode {
            SendBody::Auto => !bodiless,
            SendBody::Always => true,
            SendBody::Never => false,
        };
        let optional = |given: &Option<Given>| given.as_ref().map(|given| self.given(given, &way));
        let sent = Rc::new(Sent {
            method,
            url: optional(&request.url),
            path: self.given(&request.path, &way),
            uri_params: optional(&request.uri_params),
            query: optional(&request.query_params),
            headers: optional(&request.headers),
            body: sends.then_some(body),
        });
        let mut ends = Vec::new();
        for outcome in self.failures.outcomes(request) {
            let mut way = way.clone();
            let raised = self.failures.error(outcome).map(|kind| Raised {
                kind: kind.clone(),
                description: Symbol::Unknown,
                cause: None,
            });
            way.acts.push(Act::Called {
                call,
                outcome,
                sent: sent.clone(),
            });
            if raised.is_none() {
                let status = self.failures.status(outcome).unwrap_or(200);
                let fields = [(
                    Arc::from("statusCode"),
                    Symbol::Known(i64::from(status).into()),
                )];
                let attributes =
                    Symbol::input("attributes").concat(Symbol::object(None, fields.into()));
                let payload = Symbol::input("response");
                way.media_type = None;
                match &request.target {
                    Some(target) => self.set_target(target, payload, attributes, &mut way),
                    None => {
                        way.payload = payload;
                        way.attributes = attributes;
                    }
                }
            }
            ends.push((way, raised));
        }
        ends
    }

    fn validation(&mut self, rule: &'a ValidationRule, site: &'a Site, way: Way<'a>) -> Ends<'a> {
        let (condition, error) = match rule {
            ValidationRule::True(given) => (self.given(given, &way), "INVALID_BOOLEAN"),
            ValidationRule::False(given) => (self.given(given, &way).negation(), "INVALID_BOOLEAN"),
            ValidationRule::NotNull(given) => {
                let value = self.given(given, &way);
                (value.compare(Relation::Unequal, Symbol::NULL), "NULL")
            }
            ValidationRule::Null(given) => {
                let value = self.given(given, &way);
                (value.compare(Relation::Equal, Symbol::NULL), "NOT_NULL")
            }
            ValidationRule::NotBlank(_)
            | ValidationRule::Matches { .. }
            | ValidationRule::Size { .. } => return vec![(way, None)],
        };
        let asked = asked(condition, way, site);
        let ends = asked.into_iter().map(|(way, holds)| {
            let raised = (!holds).then(|| Raised {
                kind: ErrorType::new("VALIDATION", error),
                description: Symbol::Unknown,
                cause: None,
            });
            (way, raised)
        });
        ends.collect()
    }
}
