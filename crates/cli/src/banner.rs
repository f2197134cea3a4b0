//! The start banner: what the gateway serves, as a text for people or as lines of the JSON log.

use std::net::SocketAddr;
use std::path::PathBuf;

use fusebox_breaker::{Mode, Rule};
use fusebox_gateway::Gateway;
use fusebox_plan::plan::{Breaker, Route, Rung, Share, Step, Store};
use humantime::format_duration;

/// The most routes that are listed.
const LISTED_MAX: usize = 50;

/// An address at which the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAt {
    /// An IP address with the port that it got.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The facts about a gateway that has just started.
pub struct Banner<'a> {
    /// The gateway, whose listeners are open.
    pub gateway: &'a Gateway,
    /// The names of the configuration's files.
    pub files: String,
    /// The place of the state.
    pub store: &'a Store,
    /// The addresses of the admin API; empty if it is off.
    pub admin: &'a [AdminAt],
}

impl Banner<'_> {
    /// Logs one event for each fact. The admin API comes last.
    pub fn log(&self) {
        for (name, addr) in self.gateway.addresses() {
            let url = format!("{}://{addr}", self.gateway.scheme(&name));
            tracing::info!(listener = %name, %addr, %url, "listening");
        }
        let plan = self.gateway.plan();
        for route in plan.routes.iter().take(LISTED_MAX) {
            match step(route) {
                Way::To(upstream, breaker) => {
                    tracing::info!(route = %route.name, path = %route.path, %upstream, %breaker, "route");
                }
                Way::Else(answer) => {
                    tracing::info!(route = %route.name, path = %route.path, %answer, "route");
                }
            }
        }
        if let Some(more) = plan.routes.len().checked_sub(LISTED_MAX + 1) {
            tracing::info!(more = more + 1, "more routes are not listed");
        }
        for service in plan.breakers.iter().take(LISTED_MAX) {
            let rules = breaker(&service.breaker);
            tracing::info!(breaker = %service.name, %rules, "breaker for programs");
        }
        tracing::info!(store = %store(self.store), "state");
        for at in self.admin {
            match at {
                AdminAt::Tcp(addr) => {
                    let dashboard = dashboard(addr);
                    tracing::info!(%addr, %dashboard, "admin API");
                }
                AdminAt::Unix(path) => tracing::info!(socket = %path.display(), "admin API"),
            }
        }
    }

    /// Writes all facts as a text.
    pub fn text(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let mut rows = Rows(format!("fusebox {version} serves {}\n", self.files));
        for (name, addr) in self.gateway.addresses() {
            let scheme = self.gateway.scheme(&name);
            rows.add("listener", &format!("{scheme}://{addr}"), &name);
        }
        let plan = self.gateway.plan();
        for route in plan.routes.iter().take(LISTED_MAX) {
            let way = match step(route) {
                Way::To(upstream, breaker) => format!("{upstream} -> {breaker}"),
                Way::Else(answer) => answer,
            };
            rows.add("route", &matched(route), &format!("-> {way}"));
        }
        if let Some(more) = plan.routes.len().checked_sub(LISTED_MAX + 1) {
            rows.add("", &format!("and {} more", more + 1), "");
        }
        for service in plan.breakers.iter().take(LISTED_MAX) {
            rows.add("breaker", &service.name, &breaker(&service.breaker));
        }
        if let Some(more) = plan.breakers.len().checked_sub(LISTED_MAX + 1) {
            rows.add("", &format!("and {} more", more + 1), "");
        }
        rows.add("state", &store(self.store), "");
        for at in self.admin {
            match at {
                AdminAt::Tcp(addr) => {
                    let dashboard = format!("dashboard: {}", dashboard(addr));
                    rows.add("admin", &addr.to_string(), &dashboard);
                }
                AdminAt::Unix(path) => {
                    rows.add("admin", &format!("unix:{}", path.display()), "");
                }
            }
        }
        if self.admin.is_empty() {
            rows.add("admin", "off", "");
        }
        rows.0
    }
}

/// The dashboard's URL on an address.
fn dashboard(addr: &SocketAddr) -> String {
    match addr.ip().is_unspecified() {
        true => format!("http://localhost:{}/", addr.port()),
        false => format!("http://{addr}/"),
    }
}

/// Lines of three columns.
struct Rows(String);

impl Rows {
    fn add(&mut self, what: &str, first: &str, second: &str) {
        let line = format!("  {what:<9} {first:<25} {second}");
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

/// The way of a route's requests.
enum Way {
    /// To an upstream with its address, through a breaker.
    To(String, String),
    /// Another answer.
    Else(String),
}

fn step(route: &Route) -> Way {
    match route.steps.last() {
        Some(Step::Forward(forward)) => {
            let upstream = &forward.upstream;
            let first = upstream.endpoint();
            let scheme = if first.tls { "https" } else { "http" };
            let mut to = format!(
                "{} ({scheme}://{}{}",
                upstream.name, first.authority, first.base_path
            );
            match upstream.endpoints.len() {
                0 | 1 => to.push(')'),
                more => to.push_str(&format!(" and {} more)", more - 1)),
            }
            let mut breaker = breaker(&upstream.breaker);
            let rungs: Vec<_> = forward.fallback().iter().map(rung).collect();
            if !rungs.is_empty() {
                breaker.push_str(&format!(", else {}", rungs.join(", ")));
            }
            Way::To(to, breaker)
        }
        Some(Step::Respond(respond)) => Way::Else(format!("answers {}", respond.status.as_u16())),
        Some(Step::App(_)) | None => Way::Else("the application".to_owned()),
    }
}

/// The requests that a route takes: its methods, host and path.
fn matched(route: &Route) -> String {
    let methods = route.methods.iter().flatten();
    let methods: Vec<_> = methods.map(http::Method::as_str).collect();
    let host = route.host.as_ref().map(ToString::to_string);
    let text = format!(
        "{} {}{}",
        methods.join(","),
        host.unwrap_or_default(),
        route.path
    );
    text.trim_start().to_owned()
}

fn rung(rung: &Rung) -> String {
    match rung {
        Rung::LastGood(age) => format!("the last good answer up to {} old", format_duration(*age)),
        Rung::Upstream(name) => format!("upstream {name}"),
        Rung::Respond(_) => "a fixed answer".to_owned(),
    }
}

/// A breaker in a few words: when it opens, and for how long.
fn breaker(breaker: &Breaker) -> String {
    let settings = &breaker.settings;
    let opens = match settings.mode {
        Mode::Disabled => return "no breaker".to_owned(),
        Mode::Monitor => "only watches: would open after",
        _ => "opens after",
    };
    let rules: Vec<_> = settings.trip.iter().map(rule).collect();
    let cooldown = &settings.cooldown;
    let mut text = format!(
        "{opens} {}, for {}",
        rules.join(" or "),
        format_duration(cooldown.base)
    );
    if cooldown.max > cooldown.base {
        text.push_str(&format!(" to {}", format_duration(cooldown.max)));
    }
    if !breaker.key.is_upstream() {
        text.push_str(", each key by itself");
    }
    if breaker.share != Share::None {
        text.push_str(", with the fleet");
    }
    text
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::ConsecutiveFailures { threshold, within } => {
            let within = within.map(|it| format!(" within {}", format_duration(it)));
            format!(
                "{threshold} failures in a row{}",
                within.unwrap_or_default()
            )
        }
        Rule::Failures {
            threshold, over, ..
        } => format!("{threshold} failures {over}"),
        Rule::FailureRate { rate, over, .. } => format!("{rate} failures {over}"),
        Rule::SlowRate {
            rate,
            slower_than,
            over,
            ..
        } => format!(
            "{rate} slower than {} {over}",
            format_duration(*slower_than)
        ),
        Rule::Stalled { calls, longer_than } => {
            format!(
                "{calls} calls without an answer for {}",
                format_duration(*longer_than)
            )
        }
        Rule::Adaptive { .. } => "failures, more and more of the calls".to_owned(),
        _ => "a rule".to_owned(),
    }
}

/// The place of the state.
fn store(store: &Store) -> String {
    match store {
        Store::Memory => "in memory, lost at the end".to_owned(),
        Store::Embedded { path } => path.display().to_string(),
        Store::Valkey(server) => {
            let path = server.path.as_deref().map(|it| it.display().to_string());
            let path = path.unwrap_or_else(|| crate::state::DATA.to_owned());
            format!("{path}, and a Valkey or Redis server")
        }
    }
}
