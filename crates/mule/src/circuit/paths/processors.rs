//! The effects of processors on a path.

use std::rc::Rc;
use std::sync::Arc;

use fusebox_dataweave::MediaType;
use fusebox_dataweave::symbol::{Relation, Symbol};

use super::conditions::split;
use super::{Act, Call, DEPTH_MAX, Ends, PATHS_MAX, Path, Raised, SentRequest, Walk, push, text};
use crate::app::{
    Chain, Choice, Consume, Does, ErrorType, FlowName, Given, Request, SendBody, Site,
    StaticResource, Target, ValidationRule,
};

impl<'a> Walk<'a> {
    pub(super) fn does(
        &mut self,
        does: &'a Does,
        site: &'a Site,
        mut path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        match does {
            Does::FlowRef { flow, target } => return self.flow_ref(flow, target, path, depth),
            Does::SetVariable(set) => {
                let value = self.given(&set.value, &path);
                if let Some(name) = text(&self.given(&set.name, &path)) {
                    path.vars.insert(name, value);
                }
            }
            Does::RemoveVariable(name) => {
                if let Some(name) = text(&self.given(name, &path)) {
                    path.vars.remove(&name);
                }
            }
            Does::SetPayload { value, media_type } => {
                path.payload = self.given(value, &path);
                path.media_type = match (media_type, value) {
                    (Some(declared), _) => Some(declared.clone()),
                    (None, Given::Expression(script)) => script.output().cloned(),
                    (None, _) => Some(MediaType::any()),
                };
            }
            Does::Transform(transform) => {
                let payload = transform.payload.as_ref();
                let media_type = payload.map(|script| script.output().cloned());
                let payload = payload.map(|script| self.value(script, &path));
                let attributes = transform.attributes.as_ref();
                let attributes = attributes.map(|script| self.value(script, &path));
                let mut vars = Vec::new();
                for (name, script) in &transform.variables {
                    if let Some(name) = text(&self.given(name, &path)) {
                        vars.push((name, self.value(script, &path)));
                    }
                }
                path.vars.extend(vars);
                path.payload = payload.unwrap_or(path.payload);
                path.media_type = media_type.unwrap_or(path.media_type);
                path.attributes = attributes.unwrap_or(path.attributes);
            }
            // A duplicate says nothing of an upstream.
            Does::Logger(_) | Does::Publish(_) | Does::Invalidate(_) | Does::Idempotent(_) => {}
            Does::PublishConsume { target, .. }
            | Does::Consume(Consume { target, .. })
            | Does::StaticResource(StaticResource { target, .. }) => match target {
                Some(target) => {
                    path.vars.insert(target.variable.clone(), Symbol::Unknown);
                }
                None => (path.payload, path.attributes) = (Symbol::Unknown, Symbol::Unknown),
            },
            // The flows of an API are looked at one by one.
            Does::Route(_) => path.payload = Symbol::Unknown,
            Does::Choice(choice) => return self.choice(choice, site, path, depth),
            Does::Try(scope) => {
                let ends = self.chain(&scope.chain, path, depth);
                return self.handled(ends, scope.handlers.as_deref(), depth);
            }
            Does::RaiseError(raise) => {
                let description = match &raise.description {
                    Some(description) => self.given(description, &path),
                    None => Symbol::text("An error occurred."),
                };
                let raised = Raised {
                    description,
                    ..Raised::of(raise.kind.clone())
                };
                path.acts.push(Act::Raised { site });
                return vec![(path, Some(raised))];
            }
            Does::UntilSuccessful(scope) => {
                let mut ends = self.chain(&scope.chain, path, depth);
                for (path, raised) in &mut ends {
                    let Some(raised) = raised else { continue };
                    path.acts.push(Act::Retried { site });
                    let cause = raised.cause.take().unwrap_or_else(|| raised.kind.clone());
                    *raised = Raised::of(ErrorType::new("MULE", "RETRY_EXHAUSTED"));
                    raised.cause = Some(cause);
                }
                return ends;
            }
            Does::Foreach(scope) => {
                let (payload, attributes) = (path.payload.clone(), path.attributes.clone());
                path.payload = Symbol::Unknown;
                let mut ends = self.chain(&scope.chain, path, depth);
                for (path, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
                    path.payload = payload.clone();
                    path.attributes = attributes.clone();
                }
                return ends;
            }
            Does::ParallelForeach(scope) => {
                let routes = [&scope.chain];
                return self.routes(routes, scope.gather.target.as_ref(), true, path, depth);
            }
            Does::ScatterGather(scope) => {
                return self.routes(
                    &scope.routes,
                    scope.gather.target.as_ref(),
                    false,
                    path,
                    depth,
                );
            }
            Does::Async(scope) => {
                let before = path.clone();
                let ends = self.chain(&scope.chain, path, depth);
                let back = ends
                    .into_iter()
                    .map(|(path, _)| (before.with_acts_of(path), None));
                return back.collect();
            }
            Does::FirstSuccessful(routes) => {
                let mut done: Ends<'a> = Vec::new();
                let mut left = vec![(path.clone(), None)];
                for route in routes {
                    let mut failed = Vec::new();
                    for (from, _) in left {
                        for (end, raised) in self.chain(route, path.with_acts_of(from), depth) {
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
            Does::RoundRobin(routes) => {
                let routes = routes.iter();
                let ends = routes.flat_map(|route| self.chain(route, path.clone(), depth));
                return ends.collect();
            }
            Does::Request(request) if self.guards_requests() => {
                return self.guarded_request(request, site, path, depth);
            }
            Does::Request(request) => return self.request(request, site, path),
            Does::Object(call) => return self.object(call, site, path),
            Does::Cache(scope) => return self.chain(&scope.chain, path, depth),
            Does::Validations(_) => {}
            Does::Validation(validation) => return self.validation(&validation.rule, site, path),
            Does::Policy(step) => return self.policy_step(step, path, depth),
            Does::Sleep(_) => {
                path.payload = Symbol::NULL;
                path.attributes = Symbol::NULL;
            }
        }
        vec![(path, None)]
    }

    fn flow_ref(
        &mut self,
        flow: &'a FlowName,
        target: &'a Option<Target>,
        mut path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let FlowName::Known(id) = flow else {
            if matches!(flow, FlowName::Computed(_)) {
                path.payload = Symbol::Unknown;
            }
            return vec![(path, None)];
        };
        if depth >= DEPTH_MAX {
            self.exhausted = true;
            return vec![(path, None)];
        }
        let app = self.app;
        let before = target.as_ref().map(|_| path.clone());
        let mut ends = self.flow(app.flow(*id), path, depth + 1);
        if let (Some(before), Some(target)) = (before, target) {
            for (path, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
                let (payload, attributes) = (path.payload.clone(), path.attributes.clone());
                *path = before.with_acts_of(path.clone());
                self.set_target(target, payload, attributes, path);
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
        path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let mut ends: Ends<'a> = vec![(path.clone(), None)];
        for route in routes {
            let mut next: Ends<'a> = Vec::new();
            for (from, before) in ends {
                let mut start = path.with_acts_of(from);
                if items {
                    start.payload = Symbol::Unknown;
                }
                for (end, raised) in self.chain(route, start, depth) {
                    let cause = raised.map(|raised| raised.cause.unwrap_or(raised.kind));
                    let raised = before.clone().or(cause.map(|cause| Raised {
                        cause: Some(cause),
                        ..Raised::of(ErrorType::new("MULE", "COMPOSITE_ROUTING"))
                    }));
                    push(&mut next, (path.with_acts_of(end), raised));
                }
            }
            ends = next;
            if ends.len() > PATHS_MAX {
                self.exhausted = true;
                break;
            }
        }
        for (path, _) in ends.iter_mut().filter(|(_, raised)| raised.is_none()) {
            match target {
                Some(target) => {
                    path.vars.insert(target.variable.clone(), Symbol::Unknown);
                }
                None => path.payload = Symbol::Unknown,
            }
        }
        ends
    }

    fn choice(
        &mut self,
        choice: &'a Choice,
        site: &'a Site,
        path: Path<'a>,
        depth: usize,
    ) -> Ends<'a> {
        let mut ends = Vec::new();
        let mut left = vec![path];
        for (when, chain) in &choice.whens {
            let mut next = Vec::new();
            for path in left {
                for (path, holds) in self.script(when, path, site) {
                    if holds {
                        ends.extend(self.chain(chain, path, depth));
                    } else {
                        push(&mut next, path);
                    }
                }
            }
            left = next;
        }
        for path in left {
            match &choice.otherwise {
                Some(chain) => ends.extend(self.chain(chain, path, depth)),
                None => ends.push((path, None)),
            }
        }
        ends
    }

    pub(super) fn request(
        &mut self,
        request: &'a Request,
        site: &'a Site,
        path: Path<'a>,
    ) -> Ends<'a> {
        let call = match self.calls.iter().position(|call| call.site == site) {
            Some(call) => call,
            None => {
                self.calls.push(Call { site, request });
                self.calls.len() - 1
            }
        };
        let body = match &request.body {
            Some(body) => self.given(body, &path),
            None => path.payload.clone(),
        };
        let method = self.given(&request.method, &path);
        let is = |plain: &str| text(&method).is_some_and(|it| it.eq_ignore_ascii_case(plain));
        let bodiless = ["GET", "HEAD", "OPTIONS"].into_iter().any(is);
        let mode = request.send_body.unwrap_or_else(|| {
            let config = request.config.as_ref();
            config.map_or(SendBody::Auto, |config| config.send_body)
        });
        let sends = match mode {
            SendBody::Auto => !bodiless,
            SendBody::Always => true,
            SendBody::Never => false,
        };
        let optional = |given: &Option<Given>| given.as_ref().map(|given| self.given(given, &path));
        let sent = Rc::new(SentRequest {
            method,
            url: optional(&request.url),
            path: self.given(&request.path, &path),
            uri_params: optional(&request.uri_params),
            query: optional(&request.query_params),
            headers: optional(&request.headers),
            body: sends.then_some(body),
        });
        let mut ends = Vec::new();
        for outcome in self.failures.outcomes(request) {
            let mut path = path.clone();
            let raised = self.failures.error(outcome).cloned().map(Raised::of);
            path.acts.push(Act::Called {
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
                path.media_type = None;
                match &request.target {
                    Some(target) => self.set_target(target, payload, attributes, &mut path),
                    None => {
                        path.payload = payload;
                        path.attributes = attributes;
                    }
                }
            }
            ends.push((path, raised));
        }
        ends
    }

    fn validation(&mut self, rule: &'a ValidationRule, site: &'a Site, path: Path<'a>) -> Ends<'a> {
        let (condition, error) = match rule {
            ValidationRule::True(given) => (self.given(given, &path), "INVALID_BOOLEAN"),
            ValidationRule::False(given) => {
                (self.given(given, &path).negation(), "INVALID_BOOLEAN")
            }
            ValidationRule::NotNull(given) => {
                let value = self.given(given, &path);
                (value.compare(Relation::Unequal, Symbol::NULL), "NULL")
            }
            ValidationRule::Null(given) => {
                let value = self.given(given, &path);
                (value.compare(Relation::Equal, Symbol::NULL), "NOT_NULL")
            }
            _ => return vec![(path, None)],
        };
        let split = split(condition, path, site);
        let ends = split.into_iter().map(|(mut path, holds)| {
            if !holds {
                path.acts.push(Act::Raised { site });
            }
            let raised = (!holds).then(|| Raised::of(ErrorType::new("VALIDATION", error)));
            (path, raised)
        });
        ends.collect()
    }
}
