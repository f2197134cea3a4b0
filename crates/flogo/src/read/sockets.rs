//! The websocket trigger whose connections are passed on by the activity `wsproxy`: a native route, since the gateway passes
//! upgraded connections through by itself.

use std::sync::Arc;

use fusebox_plan::dialect::{Place, quote};
use fusebox_plan::plan::{Forward, Rewrite, RewritePart, Route, Step, Upstream};
use http::Method;

use crate::flow::{Activity, SocketActivity, TargetPart};
use crate::program::target_name;
use crate::read::actions::BuiltAction;
use crate::read::handler_path::HandlerPath;
use crate::read::reader::Reader;
use crate::read::rest;
use crate::read::settings::Settings;

/// The most connections of a service without `maxconnections`.
const CONNECTIONS: i64 = 5;

/// The mode of a handler that takes whole connections.
const WHOLE: &str = "2";

/// A route of a websocket trigger, with its origin in the file.
pub(crate) struct SocketRoute {
    pub at: Place,
    pub trigger: Arc<str>,
    pub method: Method,
    /// The path as written, with its parameters in the form of other triggers.
    pub written: String,
    pub path: HandlerPath,
    pub upstream: Arc<Upstream>,
    /// The service's settings.
    pub socket: SocketActivity,
}

impl SocketRoute {
    pub fn plan_route(&self) -> Route {
        let rewrite = Rewrite(vec![RewritePart::Literal(self.socket.target.clone())]);
        Route {
            name: format!("{} {} {}", self.trigger, self.method, self.written).into(),
            path: self.path.renamed(str::to_owned),
            methods: Some(vec![self.method.clone()]),
            listeners: Some(vec![self.trigger.clone()]),
            steps: vec![Step::Forward(Forward {
                rewrite: Some(rewrite),
                ..Forward::to(self.upstream.clone())
            })],
            ..Route::default()
        }
    }
}

/// The settings of `wsproxy`.
pub(super) fn activity(settings: &Settings<'_>, reader: &mut Reader<'_>) -> Option<SocketActivity> {
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
    Some(SocketActivity {
        endpoint,
        target: parts.collect(),
        connections_max: most?,
    })
}

/// The upstream of a handler's action, which must pass its connection on and do nothing else.
pub(super) fn upstream(
    at: Place,
    built: &BuiltAction,
    reader: &mut Reader<'_>,
) -> Option<(Arc<Upstream>, SocketActivity)> {
    let action = &built.action;
    let only = match &action.steps[..] {
        [step] if step.when.is_none() => Some(&action.services[step.service]),
        _ => None,
    };
    let Some((service, Activity::Socket(socket))) = only.map(|it| (it, &it.activity)) else {
        let what = format!(
            "the action {} does more than pass a connection on",
            quote(&action.name)
        );
        let mend = "of a websocket trigger's handlers those run whose only step is `wsproxy`; run others where they ran";
        return reader.refuse(at, what, mend);
    };
    let upstream = Upstream::new(target_name(action, service), socket.endpoint.clone());
    let upstream = upstream.at_most(socket.connections_max);
    Some((Arc::new(upstream), socket.clone()))
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
