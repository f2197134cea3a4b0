//! A plan as it runs: with its routers built, its breakers made or kept, its connections pooled.

use crate::app::App;
use crate::ground::listen::ListenerKey;
use crate::live::by_name::Upstreams;
use crate::live::router::Router;
use crate::live::tls::LiveTls;
use crate::request::exchange::{ListenerRules, RouteFacts};
use crate::request::forward::Forward;
use crate::request::ladder::LiveRung;
use crate::upstream::breakers::LiveBreaker;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::service::LiveService;
use fusebox_breaker::Timestamp;
use fusebox_plan::plan::{KeyPart, Listener, Plan, Respond, Route, Upstream};
use http::{HeaderMap, HeaderValue, Method};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plan as it runs.
#[derive(Debug)]
pub struct Live {
    pub plan: Arc<Plan>,
    /// The routes, in the plan's order.
    pub routes: Vec<Arc<LiveRoute>>,
    /// The upstreams in the plan's order, and behind them the targets of its application's own requests.
    pub upstreams: Vec<Arc<LiveUpstream>>,
    /// An upstream of each set of breakers: the plan's own ones, and the first of the application's targets behind each
    /// guard. The breakers' names begin with [`UpstreamBreakers::name`].
    pub guarded: Vec<Arc<LiveUpstream>>,
    /// The breakers without an upstream, in the plan's order.
    pub services: Vec<Arc<LiveService>>,
    /// The upstreams by their names in the plan.
    pub by_name: Upstreams,
    /// The upstreams in `guarded`, by the names of their breakers.
    pub guarded_by_name: Upstreams,
    /// The application of another dialect; `None` in the native form.
    pub app: Option<Arc<dyn App>>,
    /// Few, and asked for with every request: comparing is cheaper than hashing.
    pub listeners: BTreeMap<ListenerKey, LiveListener>,
}

/// A listener, with the routes that it serves.
pub struct LiveListener {
    pub rules: Arc<ListenerRules>,
    /// The routes by path, as indices into [`Live::routes`]; `None`: the plan's application finds them.
    pub router: Option<Router>,
    /// The TLS of its connections; `None`: they are plain.
    pub tls: Option<Arc<LiveTls>>,
    /// The plan's listener.
    pub plan: Arc<Listener>,
}

impl std::fmt::Debug for LiveListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveListener")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// A route, with its upstreams found.
#[derive(Debug)]
pub struct LiveRoute {
    pub plan: Arc<Route>,
    pub steps: Vec<LiveStep>,
    /// The name, and counts of each worker; they are kept over reloads by the name.
    pub facts: Arc<RouteFacts>,
    /// True if a step reads the path's parameters: keeping them for a request costs an allocation, and two for each.
    pub reads_params: bool,
}

#[derive(Debug)]
pub enum LiveStep {
    /// Answers with the fixed response in the file.
    Respond(Respond),
    /// Passes the request to an upstream, past its breaker.
    Forward(Arc<Forward>),
    /// Lets the plan's application answer, by the step's number there.
    App(usize),
}

impl LiveStep {
    /// True if it reads the path's parameters: to rewrite the path, or for a breaker's key. An application finds its own.
    pub fn reads_params(&self) -> bool {
        match self {
            LiveStep::Respond(_) | LiveStep::App(_) => false,
            LiveStep::Forward(forward) => {
                let rungs = forward.ladder.rungs.iter().filter_map(|rung| match rung {
                    LiveRung::Upstream(upstream) => Some(upstream),
                    LiveRung::LastGood(_) | LiveRung::Respond(_) => None,
                });
                let mut used = rungs.chain([&forward.upstream]);
                forward.rewrite.is_some() || used.any(|upstream| reads_params(&upstream.plan))
            }
        }
    }
}

/// True if a template of an upstream has a parameter of the path.
fn reads_params(upstream: &Upstream) -> bool {
    let keys = upstream.hash_key.iter().chain([&upstream.breaker.key]);
    let mut parts = keys.flat_map(|key| &key.0);
    parts.any(|part| matches!(part, KeyPart::Path(_)))
}

impl LiveRoute {
    /// True if it takes requests of a method: one that it lists, or any if it lists none. A route that takes `GET`
    /// takes `HEAD` (RFC 9110, section 9.3.2).
    pub fn takes(&self, method: &Method) -> bool {
        let methods = self.plan.methods.as_ref();
        methods.is_none_or(|methods| {
            methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
        })
    }

    /// True if a request has the fields that it asks for, each once and with exactly that value.
    pub fn fits(&self, headers: &HeaderMap) -> bool {
        self.plan.headers.iter().all(|(name, value)| {
            let mut values = headers.get_all(name).iter();
            values.next() == Some(value) && values.next().is_none()
        })
    }

    /// True if it lists the method.
    pub fn names(&self, method: &Method) -> bool {
        let methods = self.plan.methods.as_ref();
        methods.is_some_and(|methods| methods.contains(method))
    }
}

impl Live {
    /// The methods that the routes of one path take, for the `Allow` field of a 405.
    pub fn allow<'a>(&self, routes: impl Iterator<Item = &'a usize>) -> HeaderValue {
        let methods = routes.flat_map(|route| self.routes[*route].plan.methods.iter().flatten());
        let mut methods: Vec<_> = methods.map(Method::as_str).collect();
        if let Some(get) = methods.iter().position(|method| *method == "GET")
            && !methods.contains(&"HEAD")
        {
            methods.insert(get + 1, "HEAD");
        }
        HeaderValue::from_str(&methods.join(", ")).expect("methods are field values")
    }

    /// Every breaker that exists now, with the upstream or the part of the application that it belongs to. A guard's
    /// upstream is the guard.
    pub fn breakers(&self) -> impl Iterator<Item = (Arc<str>, LiveBreaker)> {
        let upstreams = self.guarded.iter().flat_map(|upstream| {
            let name = upstream.breakers.name().cloned().unwrap_or_default();
            let all = upstream.breakers.all().into_iter();
            all.map(move |live_breaker| (name.clone(), live_breaker))
        });
        upstreams.chain(self.own_breakers())
    }

    /// The breaker of a name, with the upstream or the part of the application that it belongs to.
    pub fn breaker(&self, name: &str) -> Option<(Arc<str>, LiveBreaker)> {
        let mut upstreams = self.guarded.iter();
        let before = upstreams.find_map(|upstream| {
            let found = upstream.breakers.find(name)?;
            Some((upstream.breakers.name()?.clone(), found))
        });
        let mut own = self.own_breakers().into_iter();
        before.or_else(|| own.find(|(_, live_breaker)| &**live_breaker.breaker.name() == name))
    }

    /// The upstream whose breakers have a name.
    pub fn guarded(&self, name: &str) -> Option<&Arc<LiveUpstream>> {
        self.guarded_by_name.get(name)
    }

    /// The upstream of a name in the plan.
    pub fn upstream(&self, name: &str) -> Option<&Arc<LiveUpstream>> {
        self.by_name.get(name)
    }

    /// The breaker without an upstream that has a name.
    pub fn service(&self, name: &str) -> Option<&Arc<LiveService>> {
        self.services.iter().find(|it| *it.plan.name == *name)
    }

    /// The breakers that are before no whole upstream: those of the plan's application, those of endpoints, and those
    /// that programs ask.
    pub fn own_breakers(&self) -> Vec<(Arc<str>, LiveBreaker)> {
        let mut all = self
            .app
            .as_ref()
            .map_or_else(Vec::new, |app| app.breakers());
        for upstream in &self.upstreams {
            let endpoints = upstream.several.iter().flat_map(|it| it.breakers());
            all.extend(endpoints.map(|it| (upstream.plan.name.clone(), it)));
        }
        let services = self.services.iter();
        all.extend(services.map(|it| (it.plan.name.clone(), it.live_breaker.clone())));
        all
    }

    /// Has the choice among endpoints take account of breakers that were restored, commanded or held for a time.
    pub fn settle_endpoints(&self, now: Timestamp) {
        for several in self.upstreams.iter().filter_map(|it| it.several.as_ref()) {
            several.settle(now);
        }
    }

    pub fn listener(&self, key: &ListenerKey) -> Option<&LiveListener> {
        self.listeners.get(key)
    }
}
