//! The configurations of the application, of listeners, and of requests.

use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::dialect::{Place, quote, read_url};

use super::Lowering;
use super::bind::{self, Problem};
use super::names::name_of;
use super::open::Open;
use super::values::Written;
use crate::app::{Computed, Given, Handlers, ListenerConfig, Requester, SendBody};

const LISTENER: &str = "http:listener-config";
const REQUESTER: &str = "http:request-config";

/// The settings of the whole application.
pub(super) struct Configuration {
    pub handlers: Option<Arc<Handlers>>,
    pub response_timeout: Duration,
}

impl<'a> Lowering<'a> {
    /// Reads `configuration`, and checks the other elements outside flows that have no effect here.
    pub fn configuration(&mut self) -> Configuration {
        let mut found = Configuration {
            handlers: None,
            response_timeout: Duration::from_secs(10),
        };
        for (count, open) in self.open_globals(&["configuration"]).iter().enumerate() {
            if count > 0 {
                let what = "there are two `configuration`s";
                self.error(open.at(), what, "keep one");
                continue;
            }
            if let Some(timeout) = self.millis(open, "defaultResponseTimeout") {
                found.response_timeout = timeout;
            }
            if let Some(name) = self.text(open, "defaultErrorHandler-ref") {
                found.handlers = self.named_handlers(name);
            }
        }
        self.open_globals(&[
            "global-property",
            "configuration-properties",
            "secure-properties:config",
            "os:config",
            "validation:config",
            "tls:context",
        ]);
        found
    }

    /// Reads the configurations of listeners and requests.
    pub fn declare_configs(&mut self) {
        for open in self.open_globals(&[LISTENER]) {
            if let Some(config) = self.listener_config(&open) {
                self.listeners.insert(config.name.clone(), Arc::new(config));
            }
        }
        for open in self.open_globals(&[REQUESTER]) {
            if let Some(config) = self.requester(&open) {
                let name = config.name.clone();
                self.requesters.insert(name, Arc::new(config));
            }
        }
    }

    fn listener_config(&mut self, open: &Open<'a>) -> Option<ListenerConfig> {
        let name = self.text(open, "name")?;
        let base = self.base_path(open);
        let connection = self.open_part(open, "http:listener-connection");
        let cors = self.cors(open);
        let bound = self.bindings.get(name.text);
        let (addr, bound_base, tls) = match bound {
            Some(url) => {
                let (addr, base) = self.bound(name.at(), name.text, bind::listening(url))?;
                (addr, base, None)
            }
            None => {
                let tls = connection.and_then(|open| self.listener_tls(&open));
                (self.listener_address(open, connection)?, String::new(), tls)
            }
        };
        let idle = connection.and_then(|open| self.millis(&open, "connectionIdleTimeout"));
        Some(ListenerConfig {
            name: name.text.into(),
            addr,
            base_path: rooted(match bound_base.as_str() {
                "" => base,
                bound => bound,
            }),
            idle_timeout: idle.unwrap_or(LISTENER_IDLE),
            cors,
            tls,
        })
    }

    /// The base path of a configuration; an empty one is the root.
    fn base_path(&mut self, open: &Open<'a>) -> &'a str {
        let written = self.written(open, "basePath");
        match written.filter(|it| !it.text.trim().is_empty()) {
            Some(_) => self.text(open, "basePath").map_or("", |base| base.text),
            None => "",
        }
    }

    fn listener_address(
        &mut self,
        config: &Open<'a>,
        connection: Option<Open<'a>>,
    ) -> Option<std::net::SocketAddr> {
        let mend = |this: &str| {
            let name = name_of(config.element).map_or("NAME", |name| name.value.as_str());
            format!("{this}`--bind {name}=http://127.0.0.1:8081`")
        };
        let Some(open) = connection else {
            let what = "the listener's configuration has no `http:listener-connection`";
            self.error(config.at(), what, mend("add one, or "));
            return None;
        };
        let host = self.text(&open, "host")?;
        let port = self.whole(&open, "port");
        let port = u16::try_from(port?).ok()?;
        let addr = bind::address(host.text, port);
        if addr.is_none() {
            let what = format!("{} is not an IP address to listen on", quote(host.text));
            self.wrong(host, what, mend("write an address such as `0.0.0.0`, or "));
        }
        addr
    }

    /// True if a name may be in a part that could not be read, or has itself a placeholder without a value.
    fn is_undefined(&self, name: Written<'a>) -> bool {
        let is_bound = self.bindings.get(name.text).is_some();
        !is_bound && (self.is_partial || self.states.is_broken(name.at()))
    }

    /// The listener with a name, from a file or from the command line.
    pub fn listener_named(&mut self, open: &Open<'a>) -> Option<Arc<ListenerConfig>> {
        let name = self.text(open, "config-ref")?;
        if let Some(config) = self.listeners.get(name.text) {
            return Some(config.clone());
        }
        if self.globals.find(name.text, &[LISTENER]).is_some() || self.is_undefined(name) {
            // The declaration has an error, which is reported.
            return None;
        }
        let (addr, base_path) = match self.bindings.get(name.text) {
            Some(url) => self.bound(name.at(), name.text, bind::listening(url))?,
            None => {
                let what = format!("nothing defines the listener {}", quote(name.text));
                let otherwise = format!("bind it: `--bind {}=http://127.0.0.1:8081`", name.text);
                let mend = self.mend(name.text, &[LISTENER], &otherwise);
                self.wrong(name, what, mend);
                (([127, 0, 0, 1], 0).into(), String::new())
            }
        };
        let config = Arc::new(ListenerConfig {
            name: name.text.into(),
            addr,
            base_path: rooted(&base_path),
            idle_timeout: LISTENER_IDLE,
            cors: None,
            tls: None,
        });
        self.listeners.insert(config.name.clone(), config.clone());
        Some(config)
    }

    fn requester(&mut self, open: &Open<'a>) -> Option<Requester> {
        let name = self.text(open, "name")?;
        let mut computed = Computed {
            base_path: self.computed(open, "basePath"),
            ..Computed::default()
        };
        let base = match &computed.base_path {
            Some(_) => "",
            None => self.base_path(open),
        };
        let connection = self.open_part(open, "http:request-connection");
        let bound = self.bindings.get(name.text);
        let (endpoint, trust) = match bound {
            Some(url) => (self.bound(name.at(), name.text, bind::calling(url))?, None),
            None => {
                let trust = connection.and_then(|open| self.client_tls(&open));
                (self.request_address(connection, &mut computed)?, trust)
            }
        };
        let mut requester = requester_of(name.text, &endpoint);
        requester.computed = computed;
        requester.trust = trust;
        if endpoint.base_path.is_empty() {
            requester.base_path = rooted(base);
        }
        requester.response_timeout = self.millis(open, "responseTimeout");
        requester.follow_redirects = self.flag(open, "followRedirects") != Some(false);
        requester.cookies = self.flag(open, "enableCookies") != Some(false);
        requester.send_body = self.send_body(open).unwrap_or_default();
        requester.validator = self.validator(open);
        let misplaced = connection.and_then(|open| self.open_part(&open, "http:default-headers"));
        if let Some(headers) = misplaced {
            let what = "Mule refuses `http:default-headers` in a connection; they are read as the configuration's";
            let mend = "move it behind the `http:request-connection`";
            self.deviation(headers.at(), what, mend);
        }
        for headers in [misplaced, self.open_part(open, "http:default-headers")]
            .into_iter()
            .flatten()
        {
            for header in self.open_parts(&headers, "http:default-header") {
                let pair = self.given(&header, "key").zip(self.given(&header, "value"));
                requester.default_headers.extend(pair);
            }
        }
        if let Some(query) = self.open_part(open, "http:default-query-params") {
            for param in self.open_parts(&query, "http:default-query-param") {
                let pair = self.given(&param, "key").zip(self.given(&param, "value"));
                requester.default_query.extend(pair);
            }
        }
        requester.sends_correlation_id = self.sends_correlation_id(open) != Some(false);
        if let Some(connection) = connection {
            requester.authentication = self.authentication(&connection);
            self.connection(&connection, &mut requester);
        }
        Some(requester)
    }

    fn connection(&mut self, open: &Open<'a>, requester: &mut Requester) {
        if let Some(idle) = self.millis(open, "connectionIdleTimeout") {
            requester.idle_timeout = idle;
        }
        requester.persistent = self.flag(open, "usePersistentConnections") != Some(false);
        match self.whole(open, "maxConnections") {
            Some(0) => self.error(
                open.at(),
                "`maxConnections` is 0, which allows no request",
                "write -1 for no limit, or a number of at least 1",
            ),
            max => requester.connections_max = max.and_then(|max| usize::try_from(max).ok()),
        }
        let sockets = self.open_part(open, "http:client-socket-properties");
        let sockets =
            sockets.and_then(|open| self.open_part(&open, "sockets:tcp-client-socket-properties"));
        if let Some(timeout) = sockets.and_then(|open| self.millis(&open, "connectionTimeout")) {
            requester.connect_timeout = timeout;
        }
    }

    /// An attribute that is an expression, evaluated for each request; `None`: it is a text, or missing.
    fn computed(&mut self, open: &Open<'a>, name: &str) -> Option<Given> {
        let is_expression = open
            .attribute(name)
            .is_some_and(|it| it.value.value.contains("#["));
        is_expression.then(|| self.given(open, name))?
    }

    /// The server that a configuration's requests go to, with an empty host if it names none: its requests then have a
    /// `url` of their own, or it is computed for each.
    fn request_address(
        &mut self,
        connection: Option<Open<'a>>,
        computed: &mut Computed,
    ) -> Option<fusebox_plan::plan::Endpoint> {
        let nowhere = |tls: bool| fusebox_plan::plan::Endpoint::new(tls, "", 0);
        let Some(open) = connection else {
            return Some(nowhere(false));
        };
        let tls = self.word(&open, "protocol") == Some("HTTPS");
        computed.host = self.computed(&open, "host");
        computed.port = self.computed(&open, "port");
        let port = match computed.port {
            Some(_) => None,
            None => self.number(&open, "port"),
        };
        let port = port.and_then(|port| port.literal()?.parse::<i64>().ok());
        if computed.has_server() {
            let fixed = |text: String| Some(Given::Literal(text.into()));
            if computed.host.is_none() {
                computed.host = fixed(self.text(&open, "host")?.text.trim().to_owned());
            }
            computed.port = computed.port.take().or_else(|| fixed(port?.to_string()));
        }
        if !open.has("host") || computed.has_server() {
            return Some(nowhere(tls));
        }
        let host = self.text(&open, "host")?;
        let scheme = if tls { "https" } else { "http" };
        let shown = match host.text.contains(':') && !host.text.starts_with('[') {
            true => format!("[{}]", host.text.trim()),
            false => host.text.trim().to_owned(),
        };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        // A slash would turn the rest of the host's name into a path.
        let read = match shown.contains('/') {
            true => Err((
                format!("{} is not a host name", quote(&shown)),
                "write only its name".to_owned(),
            )),
            false => read_url(&format!("{scheme}://{shown}:{port}")),
        };
        self.checked(host, read)
    }

    /// The request configuration with a name, from a file or from the command line.
    pub fn requester_named(&mut self, open: &Open<'a>) -> Option<Arc<Requester>> {
        let name = self.text(open, "config-ref")?;
        if let Some(requester) = self.requesters.get(name.text) {
            return Some(requester.clone());
        }
        if self.globals.find(name.text, &[REQUESTER]).is_some() || self.is_undefined(name) {
            return None;
        }
        let requester = match self.bindings.get(name.text) {
            Some(url) => {
                let endpoint = self.bound(name.at(), name.text, bind::calling(url))?;
                requester_of(name.text, &endpoint)
            }
            None => {
                let quoted = quote(name.text);
                let what = format!("nothing defines the requests' configuration {quoted}");
                let otherwise = format!("bind it: `--bind {}=http://127.0.0.1:8082`", name.text);
                let mend = self.mend(name.text, &[REQUESTER], &otherwise);
                self.wrong(name, what, mend);
                let nowhere = read_url("http://127.0.0.1:1").expect("this is an address");
                requester_of(name.text, &nowhere)
            }
        };
        let requester = Arc::new(requester);
        let name = requester.name.clone();
        self.requesters.insert(name, requester.clone());
        Some(requester)
    }

    fn bound<T>(&mut self, at: Place, name: &str, read: Result<T, Problem>) -> Option<T> {
        let report = |(what, mend)| self.error(at, format!("`--bind {name}=…`: {what}"), mend);
        read.map_err(report).ok()
    }
}

const LISTENER_IDLE: Duration = Duration::from_secs(40);

fn requester_of(name: &str, endpoint: &fusebox_plan::plan::Endpoint) -> Requester {
    Requester {
        name: name.into(),
        tls: endpoint.tls,
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        base_path: endpoint.base_path.clone(),
        computed: Computed::default(),
        response_timeout: None,
        follow_redirects: true,
        cookies: true,
        send_body: SendBody::Auto,
        default_headers: Vec::new(),
        default_query: Vec::new(),
        sends_correlation_id: true,
        trust: None,
        authentication: None,
        validator: None,
        connect_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
        connections_max: None,
        persistent: true,
    }
}

/// A base path with a leading slash and no trailing one; empty for the root.
fn rooted(path: &str) -> String {
    let path = path.trim().trim_matches('/');
    match path {
        "" => String::new(),
        path => format!("/{path}"),
    }
}
