//! Triggers whose requests are passed on as they are: websockets by `wsproxy`, gRPC by `grpc` in its mode `grpc-to-grpc`.
//! Both are native routes, since the gateway passes upgraded connections and HTTP/2 through by itself.

use std::sync::Arc;

use fusebox_plan::dialect::{Place, quote, read_url};
use fusebox_plan::plan::{Forward, HttpVersion, Rewrite, RewritePart, Route, Step, Upstream};
use http::Method;

use crate::flow::{Action, Activity, Data, Given, PassActivity, PassKind, Service, TargetPart};
use crate::program::target_name;
use crate::read::handler_path::HandlerPath;
use crate::read::reader::Reader;
use crate::read::rest;
use crate::read::settings::Settings;
use crate::read::triggers::Choices;

/// The most connections of a service without `maxconnections`.
const CONNECTIONS: i64 = 5;

/// The mode of a handler that takes whole connections.
const WHOLE: &str = "2";

/// The operation of `grpc` that passes calls on.
const GRPC_TO_GRPC: &str = "grpc-to-grpc";

/// A route that passes requests on, with its origin in the file.
pub(crate) struct PassRoute {
    pub at: Place,
    pub trigger: Arc<str>,
    pub method: Method,
    /// The path as written, with its parameters in the form of REST triggers.
    pub written: String,
    pub path: HandlerPath,
    pub upstream: Arc<Upstream>,
    /// The service's settings.
    pub pass: PassActivity,
}

impl PassRoute {
    pub fn plan_route(&self) -> Route {
        let rewrite = self.pass.target.clone();
        let rewrite = rewrite.map(|target| Rewrite(vec![RewritePart::Literal(target)]));
        Route {
            name: format!("{} {} {}", self.trigger, self.method, self.written).into(),
            path: self.path.renamed(str::to_owned),
            methods: Some(vec![self.method.clone()]),
            listeners: Some(vec![self.trigger.clone()]),
            steps: vec![Step::Forward(Forward {
                rewrite,
                ..Forward::to(self.upstream.clone())
            })],
            ..Route::default()
        }
    }
}

/// The settings of `wsproxy`.
pub(super) fn socket(settings: &Settings<'_>, reader: &mut Reader<'_>) -> Option<PassActivity> {
    let uri = settings.required("uri", reader.notes);
    let most = settings.whole("maxconnections", reader.notes);
    let most = usize::try_from(most.unwrap_or(CONNECTIONS)).ok();
    let most = most.filter(|most| *most > 0);
    if most.is_none() {
        let mend = "give the most connections at once, 1 or more";
        settings.not_valid("maxconnections", mend, reader.notes);
    }
    let uri = uri?;
    let as_http = match uri.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => {
            let mend = "write `ws://HOST/PATH` or `wss://HOST/PATH`";
            settings.not_valid("uri", mend, reader.notes);
            return None;
        }
    };
    let (endpoint, target) = match rest::read_uri(&as_http) {
        Ok(read) => read,
        Err((what, mend)) => {
            let what = format!("invalid uri: {what}");
            return reader.refuse(settings.place("uri"), what, mend);
        }
    };
    if as_http.contains('?') {
        let what =
            "invalid uri: it has a query, which a connection that is passed on does not take along";
        let mend = "remove it: the query of each client is passed on";
        return reader.refuse(settings.place("uri"), what, mend);
    }
    let parts = target.into_iter().map(|part| match part {
        TargetPart::Literal(text) => text,
        TargetPart::Param(name) => format!(":{name}"),
    });
    Some(PassActivity {
        kind: PassKind::Socket,
        endpoint,
        target: Some(parts.collect()),
        connections_max: Some(most?),
    })
}

/// The settings of `grpc`, which runs where it passes calls on.
pub(super) fn grpc(settings: &Settings<'_>, reader: &mut Reader<'_>) -> Option<PassActivity> {
    let mode = settings.text("operatingMode").unwrap_or_default();
    if mode != GRPC_TO_GRPC {
        let shown = quote(&mode);
        let what = format!("the mode {shown} of the `grpc` activity is not supported");
        let mend = "`grpc-to-grpc` runs, which passes calls on; others need code that is made from a `.proto` file: call an HTTP interface of the service with the `rest` activity";
        let at = settings.place("operatingMode");
        return reader.notes.refuse_alike(at, what, mend);
    }
    if settings.flag("enableTLS", reader.notes) == Some(true) {
        let what = "`enableTLS` of the `grpc` activity is not supported";
        let mend = "convert the application with `fusebox convert`, and write an `https` address with `tls` there";
        return reader.refuse(settings.place("enableTLS"), what, mend);
    }
    let host = settings.required("hosturl", reader.notes)?;
    match read_url(&format!("http://{host}")) {
        Ok(endpoint) => Some(PassActivity {
            kind: PassKind::Grpc,
            endpoint,
            target: None,
            connections_max: None,
        }),
        Err((what, _)) => {
            let what = format!("invalid hosturl: {what}");
            reader.refuse(settings.place("hosturl"), what, "write `HOST:PORT`")
        }
    }
}

/// The origin of a route: place, trigger, method, path as written and as read.
pub(super) type From<'a> = (Place, &'a Arc<str>, Method, String, HandlerPath);

/// The route of a handler whose action passes its requests on; `None` after an error.
pub(super) fn route(
    (at, trigger, method, written, path): From<'_>,
    kind: PassKind,
    choices: &Choices,
    reader: &mut Reader<'_>,
) -> Option<PassRoute> {
    let (of, by) = match kind {
        PassKind::Socket => ("a websocket trigger", "wsproxy"),
        PassKind::Grpc => ("a gRPC trigger", "grpc"),
    };
    let [(choice, places)] = &choices[..] else {
        // One that cannot be read has been reported.
        if !choices.is_empty() {
            let what = format!("a handler of {of} has several actions");
            reader.error(at, what, "give it the one that passes its requests on");
        }
        return None;
    };
    if choice.when.is_some() || choice.input.is_some() || choice.output.is_some() {
        let what = format!("a handler of {of} has a condition, an `input` or an `output`");
        let mend = "remove them: its requests are passed on as they come";
        return reader.refuse(places.at, what, mend);
    }
    let action = &choice.action;
    let Some((service, pass)) = only(action).filter(|(_, pass)| pass.kind == kind) else {
        let what = format!(
            "the action {} does more than pass its requests on",
            quote(&action.name)
        );
        let mend = format!(
            "of {of}'s handlers those run whose only step is `{by}`; run others where they ran"
        );
        return reader.refuse(places.at, what, mend);
    };
    let mut upstream = Upstream::new(target_name(action, service), pass.endpoint.clone());
    // A connection keeps its place until it ends.
    if let Some(most) = pass.connections_max {
        upstream = upstream.at_most(most);
    }
    if kind == PassKind::Grpc {
        upstream.http = HttpVersion::Two;
    }
    Some(PassRoute {
        at,
        trigger: trigger.clone(),
        method,
        written,
        path,
        upstream: Arc::new(upstream),
        pass: pass.clone(),
    })
}

/// The service of an action whose only step passes its requests on, without an answer of the action's own.
fn only(action: &Action) -> Option<(&Service, &PassActivity)> {
    let [step] = &action.steps[..] else {
        return None;
    };
    let service = &action.services[step.service];
    let Activity::Pass(pass) = &service.activity else {
        return None;
    };
    let whole = match pass.kind {
        PassKind::Socket => "=$.payload.wsconnection",
        PassKind::Grpc => "=$.payload.grpcData",
    };
    let mut inputs = step.input.iter();
    let is_whole = inputs.all(|input| match &input.value {
        Given::Expression(given) => given.source().trim() == &whole[1..],
        Given::Literal(_) => false,
    });
    let is_plain = pass.kind == PassKind::Socket || answers_of(action, service);
    (step.when.is_none() && is_whole && is_plain).then_some((service, pass))
}

/// True if all responses are the answer or the error of a service.
fn answers_of(action: &Action, service: &Service) -> bool {
    action.responses.iter().all(|response| {
        let Some(Data::One(Given::Expression(data))) = &response.data else {
            return false;
        };
        let reads = response.when.iter().chain([data]).flat_map(|it| it.reads());
        let mut reads = reads.map(|read| (read.name.to_owned(), read.path.into_owned()));
        reads.all(|(name, path)| name == *service.name && path.starts_with(".outputs.body"))
    })
}

/// Refuses a handler that takes messages one by one.
pub(super) fn takes_whole(settings: &Settings<'_>, reader: &mut Reader<'_>) -> Option<()> {
    let mode = settings.required("mode", reader.notes)?;
    if mode == WHOLE {
        return Some(());
    }
    let what = match mode.as_str() {
        "1" => {
            "mode 1 of a websocket trigger, an action for each message, is not supported".to_owned()
        }
        _ => format!("unknown mode {}", quote(&mode)),
    };
    let mend = "mode \"2\" with the activity `wsproxy` runs; run others where they ran";
    reader.refuse(settings.place("mode"), what, mend)
}
