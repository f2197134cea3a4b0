//! Visitors of an application: nested processors, expressions, variables that are set.

use std::sync::Arc;

use fusebox_dataweave::Script;

use super::{
    App, CacheKey, Chain, Does, Flow, FlowId, FlowName, Given, Handler, Handlers, ObjectOperation,
    Processor, Respond, Target,
};

impl Chain {
    /// Visits its processors and all nested ones, in the order of the file.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Processor)) {
        for processor in &self.0 {
            visit(processor);
            for chain in processor.does.chains() {
                chain.walk(visit);
            }
        }
    }
}

impl App {
    /// Visits all processors, flow by flow, those of the default handlers last.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Processor)) {
        self.flows.iter().for_each(|flow| flow.walk(visit));
        self.default_handlers
            .iter()
            .for_each(|handlers| handlers.walk(visit));
    }
}

impl Flow {
    /// Visits its processors, those of its handlers last, and all nested ones.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Processor)) {
        self.chain.walk(visit);
        self.handlers
            .iter()
            .for_each(|handlers| handlers.walk(visit));
    }
}

impl Handlers {
    /// Visits the processors of all handlers, and all nested ones.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Processor)) {
        self.0.iter().for_each(|handler| handler.chain.walk(visit));
    }
}

impl Does {
    /// The nested chains, in the order of the file; those of handlers last.
    pub fn chains(&self) -> Vec<&Chain> {
        match self {
            Does::Choice(choice) => {
                let whens = choice.whens.iter().map(|(_, chain)| chain);
                whens.chain(&choice.otherwise).collect()
            }
            Does::Try(scope) => {
                let handlers = self.handlers();
                let handled = handlers.iter().map(|handler| &handler.chain);
                std::iter::once(&scope.chain).chain(handled).collect()
            }
            Does::UntilSuccessful(scope) => vec![&scope.chain],
            Does::Foreach(scope) => vec![&scope.chain],
            Does::ParallelForeach(scope) => vec![&scope.chain],
            Does::ScatterGather(scope) => scope.routes.iter().collect(),
            Does::FirstSuccessful(routes) | Does::RoundRobin(routes) => routes.iter().collect(),
            Does::Async(scope) => vec![&scope.chain],
            Does::Cache(scope) => vec![&scope.chain],
            Does::Validations(scope) => vec![&scope.chain],
            _ => Vec::new(),
        }
    }

    /// The nested handlers: those of a `try`.
    pub fn handlers(&self) -> &[Handler] {
        match self {
            Does::Try(scope) => scope.handlers.as_deref().map_or(&[], |Handlers(all)| all),
            _ => &[],
        }
    }

    /// The processor's own expressions, without those in nested chains.
    pub fn scripts(&self) -> Vec<&Script> {
        let mut given: Vec<&Given> = Vec::new();
        let mut scripts: Vec<&Script> = Vec::new();
        match self {
            Does::FlowRef { flow, .. } => {
                if let FlowName::Computed(name) = flow {
                    given.push(name);
                }
            }
            Does::SetVariable(set) => given.extend([&set.name, &set.value]),
            Does::RemoveVariable(name) => given.push(name),
            Does::SetPayload { value, .. } => given.push(value),
            Does::Transform(transform) => {
                scripts.extend(&transform.payload);
                scripts.extend(&transform.attributes);
                for (name, script) in &transform.variables {
                    given.push(name);
                    scripts.push(script);
                }
            }
            Does::Logger(logger) => given.extend(&logger.message),
            Does::Choice(choice) => scripts.extend(choice.whens.iter().map(|(script, _)| script)),
            Does::Try(_) => {
                scripts.extend(self.handlers().iter().flat_map(|handler| &handler.when));
            }
            Does::RaiseError(raise) => given.extend(&raise.description),
            Does::UntilSuccessful(scope) => given.extend([&scope.retries, &scope.between]),
            Does::Foreach(scope) => {
                scripts.extend(&scope.collection);
                given.push(&scope.batch);
            }
            Does::ParallelForeach(scope) => scripts.extend(&scope.collection),
            Does::Request(request) => {
                given.extend([&request.method, &request.path]);
                given.extend(&request.url);
                given.extend(&request.body);
                given.extend(&request.headers);
                given.extend(&request.uri_params);
                given.extend(&request.query_params);
                given.extend(&request.correlation_id);
                given.extend(&request.response_timeout);
                given.extend(&request.follow_redirects);
                given.extend(&request.correlation_id);
            }
            Does::StaticResource(it) => {
                given.extend([&it.base, &it.default_file]);
                scripts.push(&it.attributes);
            }
            Does::Object(call) => match &call.operation {
                ObjectOperation::Store {
                    key,
                    value,
                    fail_if_present,
                    fail_on_null,
                } => {
                    given.extend([key, fail_if_present, fail_on_null]);
                    given.extend(value);
                }
                ObjectOperation::Retrieve { key, default } => {
                    given.push(key);
                    given.extend(default);
                }
                ObjectOperation::Contains(key) | ObjectOperation::Remove(key) => given.push(key),
                ObjectOperation::Clear
                | ObjectOperation::RetrieveAllKeys
                | ObjectOperation::RetrieveAll => {}
            },
            Does::Cache(cache) => given.extend(&cache.key),
            Does::Invalidate(invalidate) => {
                if let Some(CacheKey::Computed(key)) = &invalidate.entry {
                    given.push(key);
                }
            }
            Does::Idempotent(it) => scripts.extend([&it.id, &it.value]),
            Does::Publish(publish) | Does::PublishConsume { publish, .. } => {
                given.extend(&publish.content);
            }
            Does::Validation(validation) => {
                given.extend(&validation.message);
                given.extend(validation.rule.given());
            }
            Does::Policy(step) => given.extend(step.given()),
            Does::Route(_)
            | Does::Consume(_)
            | Does::Validations(_)
            | Does::ScatterGather(_)
            | Does::Async(_)
            | Does::FirstSuccessful(_)
            | Does::RoundRobin(_)
            | Does::Sleep(_) => {}
        }
        scripts.extend(given.into_iter().flat_map(Given::scripts));
        scripts
    }

    /// The variables that it sets or removes under a literal name, without those in nested chains.
    pub fn sets(&self) -> Vec<&Arc<str>> {
        match self {
            Does::SetVariable(set) => set.name.literal().into_iter().collect(),
            Does::RemoveVariable(name) => name.literal().into_iter().collect(),
            Does::Transform(transform) => {
                let variables = transform.variables.iter();
                variables.filter_map(|(name, _)| name.literal()).collect()
            }
            _ => self.target().into_iter().map(|it| &it.variable).collect(),
        }
    }

    /// The flow that it refers to, if it names one.
    pub fn flow(&self) -> Option<FlowId> {
        match self {
            Does::FlowRef {
                flow: FlowName::Known(id),
                ..
            } => Some(*id),
            _ => None,
        }
    }

    /// The variable that takes its result.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Does::FlowRef { target, .. } => target.as_ref(),
            Does::ParallelForeach(scope) => scope.gather.target.as_ref(),
            Does::ScatterGather(scope) => scope.gather.target.as_ref(),
            Does::Request(request) => request.target.as_ref(),
            Does::Object(call) => call.target.as_ref(),
            Does::StaticResource(it) => it.target.as_ref(),
            Does::PublishConsume { target, .. } => target.as_ref(),
            Does::Consume(consume) => consume.target.as_ref(),
            _ => None,
        }
    }
}

impl Given {
    /// The expressions in the value.
    pub fn scripts(&self) -> Vec<&Script> {
        match self {
            Given::Expression(script) => vec![script],
            Given::Template(template) => template.scripts().collect(),
            Given::Literal(_) | Given::Broken(_) => Vec::new(),
        }
    }
}

impl Respond {
    /// The expressions in the response.
    pub fn scripts(&self) -> Vec<&Script> {
        let given = [&self.status, &self.reason, &self.body, &self.headers];
        let given = given.into_iter().flatten();
        given.flat_map(Given::scripts).collect()
    }
}
