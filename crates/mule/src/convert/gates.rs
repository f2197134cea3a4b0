//! The gates of a flow, which keep requests from its call, and processors without a native form.

use std::collections::BTreeSet;

use fusebox_dataweave::symbol::Symbol;
use fusebox_plan::dialect::{quote, show_listener_tls};
use fusebox_plan::plan::{ListenerTls, PemSource};
use serde_json::Value as Json;

use super::answer::Answers;
use super::kept::store_name;
use crate::app::{App, ClientTls, Does, Flow, PolicyStep, Processor, Site, Source};
use crate::circuit::{Act, Call, Path, Walk};

/// A part of a flow that the route does not have.
pub(super) struct Left {
    pub site: Site,
    pub what: String,
    /// True for what keeps requests from the upstream.
    pub is_guard: bool,
}

/// The gates of a flow: the ends of a request without the call, other than by its circuit; `answers`: it listens for HTTP.
pub(super) fn gates<'a>(
    flow: &Flow,
    answers: Option<&Answers<'_, 'a>>,
    paths: &[Path<'a>],
    refused: &[&Path<'a>],
) -> Vec<Left> {
    let calling: Vec<&Path<'a>> = paths
        .iter()
        .filter(|it| it.called().next().is_some())
        .collect();
    let mut found: Vec<Left> = Vec::new();
    for path in paths {
        let is_refused = refused.iter().any(|it| std::ptr::eq(*it, path));
        if is_refused || path.called().next().is_some() {
            continue;
        }
        let site = decision(path, &calling).unwrap_or(&flow.site);
        let name = quote(&flow.name);
        let is_cached = matches!(path.payload.bare(), Symbol::Entry(_)) && path.raised.is_none();
        let (what, is_guard) = match answers {
            // A value that an earlier request has stored.
            _ if is_cached => (
                format!("the cache of {name}: here every request goes to the upstream"),
                false,
            ),
            Some(answers) => {
                let answer = match answers.at(path) {
                    Ok(answer) => format!("with {}", answer.shown()),
                    Err(_) => "by itself".to_owned(),
                };
                let what = format!(
                    "the gate of {name}, which answers some requests {answer}: here every request goes to the upstream"
                );
                (what, true)
            }
            None => {
                let what = format!("the gate of {name}, which keeps some messages from its call");
                (what, true)
            }
        };
        if !found
            .iter()
            .any(|known| known.site == *site && known.is_guard == is_guard)
        {
            found.push(Left {
                site: site.clone(),
                what,
                is_guard,
            });
        }
    }
    found
}

/// The calls of a flow and of the flows that it refers to, in order.
///
/// Adds the number of processors to `examined`.
pub(super) fn calls<'a>(app: &'a App, flow: &'a Flow, examined: &mut usize) -> Vec<Call<'a>> {
    let mut found = Vec::new();
    each(app, flow, &mut |processor| {
        *examined += 1;
        if let Does::Request(request) = &processor.does {
            let site = &processor.site;
            found.push(Call { site, request });
        }
    });
    found
}

/// Visits the processors of a flow, of its handlers, and of the flows that it refers to.
fn each<'a>(app: &'a App, flow: &'a Flow, visit: &mut dyn FnMut(&'a Processor)) {
    let mut seen = BTreeSet::new();
    let mut next = vec![flow];
    if flow.source.is_some() {
        let policies = app.policies.sources.iter();
        next.extend(policies.map(|policy| &**app.flow(policy.flow)));
    }
    let mut handlers: Vec<_> = app.default_handlers.iter().map(|all| &**all).collect();
    if flow.handlers.is_some() {
        handlers.clear();
    }
    while let Some(flow) = next.pop() {
        let mut inner = Vec::new();
        let mut look = |processor: &'a Processor| {
            if let Some(id) = processor.does.flow()
                && seen.insert(id)
            {
                inner.push(&**app.flow(id));
            }
            visit(processor);
        };
        flow.walk(&mut look);
        handlers.drain(..).for_each(|all| all.walk(&mut look));
        next.extend(inner);
    }
}

/// The position of the condition that keeps a path from the call.
fn decision<'a>(path: &Path<'a>, calling: &[&Path<'a>]) -> Option<&'a Site> {
    let decisions = &path.decisions.0;
    let shared = |length: usize| {
        let mut calling = calling.iter();
        calling.any(|it| it.decisions.0.get(..length) == Some(&decisions[..length]))
    };
    let parting = (1..=decisions.len()).find(|length| !shared(*length));
    let decided = parting.map(|length| decisions[length - 1].0);
    decided.or_else(|| {
        path.acts.iter().rev().find_map(|act| match act {
            Act::Read { site, .. } | Act::Wrote { site, .. } => Some(*site),
            _ => None,
        })
    })
}

/// The parts of a flow that the route has.
#[derive(Default)]
pub(super) struct Carried<'a> {
    /// The stores of its circuit and of its kept answers, by name.
    pub stores: BTreeSet<String>,
    /// The scopes that became a retry.
    pub scopes: Vec<&'a Site>,
    /// The conditions by which its circuit refuses calls.
    pub refusals: Vec<&'a Site>,
}

/// The TLS of a listener in the native form, with PEM files in place of Java's stores.
pub(super) fn native_tls(tls: &ListenerTls) -> Json {
    let mut shown = show_listener_tls(tls);
    let own = &tls.pair.certificate_file;
    if !own.is_pem() {
        let pem = Json::from(pem_of(&own.named));
        (shown["cert"], shown["key"]) = (pem.clone(), pem);
    }
    let clients = tls.clients.as_ref().map(|it| &it.authorities.file);
    if let Some(store) = clients.filter(|file| !file.is_pem()) {
        shown["client_ca"] = pem_of(&store.named).into();
    }
    shown
}

/// The TLS of an upstream in the native form, the same way; `None`: it has what every upstream has.
pub(super) fn native_upstream_tls(tls: &ClientTls) -> Option<Json> {
    let file = |file: &PemSource| match file.is_pem() {
        true => file.named.clone(),
        false => pem_of(&file.named),
    };
    let mut shown = serde_json::Map::new();
    if let Some(authorities) = &tls.authorities {
        shown.insert("ca".into(), file(&authorities.file).into());
    }
    if let Some(own) = &tls.identity {
        shown.insert("cert".into(), file(&own.certificate_file).into());
        shown.insert("key".into(), file(&own.key_file).into());
    }
    (!shown.is_empty()).then_some(Json::Object(shown))
}

/// The losses with the TLS of an upstream.
pub(super) fn upstream_tls_losses(tls: &ClientTls) -> Vec<String> {
    let authorities = tls.authorities.iter().map(|it| (&it.file, "-nokeys"));
    let own = tls
        .identity
        .iter()
        .map(|it| (&it.certificate_file, "-nodes"));
    let mut losses: Vec<String> = authorities
        .chain(own)
        .filter_map(|(file, content)| file_loss(file, content))
        .collect();
    if !tls.verified {
        losses.push("`insecure`: here the server's certificate is checked".to_owned());
    }
    losses
}

/// The loss with a file of certificates: a native file has none of Java's stores, and a directory of its own. `content` is
/// the option of `openssl pkcs12` for the part that is meant.
fn file_loss(file: &PemSource, content: &str) -> Option<String> {
    let (path, shown) = (&file.named, quote(&file.named));
    match file.is_pem() {
        true if path.starts_with('/') => None,
        true => Some(format!(
            "the directory of {shown}: the program's there, the configuration file's here"
        )),
        false => Some(format!(
            "the store {shown}: make PEM of it, `openssl pkcs12 -in {path} {content} -out {}`",
            pem_of(path)
        )),
    }
}

/// The path of the PEM file that takes the place of a Java store.
fn pem_of(store: &str) -> String {
    let stem = store.rsplit_once('.').map_or(store, |(stem, _)| stem);
    format!("{stem}.pem")
}

/// The other processors of a flow that have no native form.
pub(super) fn left<'a>(walk: &Walk<'a>, flow: &'a Flow, carried: &Carried<'_>) -> Vec<Left> {
    let mut found = Vec::new();
    each(walk.app, flow, &mut |processor| {
        let mut scripts = processor.does.scripts().into_iter();
        let fails = scripts.any(|script| script.fails());
        let fails = fails.then_some((
            "the failure that a script raises by `fail` or `failIf`",
            true,
        ));
        let demands = walk.demands(&processor.site).then_some((
            "the refusal of requests that an expression cannot convert (`as`) or that lack what it demands (`!`)",
            true,
        ));
        let left = left_out(processor, carried).into_iter();
        for (what, is_guard) in left.chain(fails).chain(demands) {
            found.push(Left {
                site: processor.site.clone(),
                what: what.to_owned(),
                is_guard,
            });
        }
    });
    found
}

/// The settings of a flow's source that have no native form; all are at the flow's position.
pub(super) fn left_at_source(flow: &Flow) -> Vec<Left> {
    let left = |what: &str, is_guard| Left {
        site: flow.site.clone(),
        what: what.to_owned(),
        is_guard,
    };
    let mut found = Vec::new();
    if flow.redelivery.is_some() {
        found.push(left("the limit of a message's redeliveries", true));
    }
    if let Some(Source::Http(source)) = &flow.source {
        if source.config.cors.is_some() {
            found.push(left("the listener's rules for other origins", false));
        }
        let files = source.config.tls.iter().flat_map(|tls| {
            let clients = tls.clients.iter().map(|it| &it.authorities.file);
            let own = (&tls.pair.certificate_file, "-nodes");
            std::iter::once(own).chain(clients.map(|file| (file, "-nokeys")))
        });
        for (file, content) in files {
            found.extend(file_loss(file, content).map(|what| left(&what, false)));
        }
    }
    found
}

/// A description of a processor that has no native form, unless the route has it; true for a guard.
fn left_out(processor: &Processor, carried: &Carried<'_>) -> Option<(&'static str, bool)> {
    let what = match &processor.does {
        Does::Logger(_) => "the log line: the gateway logs and counts by itself",
        Does::UntilSuccessful(_) if carried.scopes.contains(&&processor.site) => return None,
        Does::UntilSuccessful(_) => "the retries",
        Does::Object(call) if carried.stores.contains(&store_name(call.store.as_deref())) => {
            return None;
        }
        Does::Object(_) => "the data in an object store",
        Does::Async(_) => "the steps beside the flow",
        Does::StaticResource(_) => "the file",
        Does::Publish(_) => "the message to a queue",
        Does::PublishConsume { .. } | Does::Consume(_) => "the message of a queue",
        Does::Route(_) => return Some(("the routing by APIkit", true)),
        Does::Cache(_) => {
            "the cache: here every request goes to the upstream, whose last good answer is for calls that are refused or fail"
        }
        Does::Invalidate(_) => "the emptying of the cache",
        Does::Idempotent(_) => return Some(("the refusal of duplicate messages", true)),
        Does::Sleep(_) => "the sleep",
        Does::Policy(step) => match **step {
            PolicyStep::ExecuteNext
            | PolicyStep::SetResponse { .. }
            | PolicyStep::SetRequest { .. } => return None,
            PolicyStep::AddHeaders { .. }
            | PolicyStep::AddHeaderList { .. }
            | PolicyStep::RemoveHeaders(_) => "the header fields that the policy changes",
        },
        // The validations in it are named one by one.
        Does::Validations(_) => return None,
        Does::Validation(_) if carried.refusals.contains(&&processor.site) => return None,
        Does::Validation(_) => return Some(("the check of the request", true)),
        Does::Foreach(_) | Does::ParallelForeach(_) => "the loop",
        Does::ScatterGather(_) | Does::FirstSuccessful(_) | Does::RoundRobin(_) => "the routes",
        Does::Request(request)
            if (request.config.as_ref()).is_some_and(|it| it.authentication.is_some()) =>
        {
            "the user and password of the request"
        }
        Does::FlowRef { .. }
        | Does::SetVariable(_)
        | Does::RemoveVariable(_)
        | Does::SetPayload { .. }
        | Does::Transform(_)
        | Does::Choice(_)
        | Does::Try(_)
        | Does::RaiseError(_)
        | Does::Request(_) => return None,
    };
    Some((what, false))
}
