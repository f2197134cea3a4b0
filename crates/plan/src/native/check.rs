//! Compares the parts of a draft with one another, and makes the plan.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::breaker::CallTimes;
use super::course;
use super::draft::{Draft, DraftListener, DraftTimes, DraftUpstream};
use super::store::{check_fleet, check_shares, check_store};
use super::{ladders, services, wiring};
use crate::diagnostic::{At, Notes, Place, place_of, quote, value_of};
use crate::failure::Failure;
use crate::plan::{Admin, Breaker, HttpVersion, Listener, Manner, Plan, Secret, Timeout, Upstream};
use crate::words::show_duration;

/// The admin API's default address.
const ADMIN_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9900);

/// The plan of the draft, valid only if `notes` has no error.
pub(crate) fn check(draft: Draft, start: Place, notes: &mut Notes) -> Plan {
    addresses(&draft, notes);
    let listeners = listeners(&draft, start, notes);
    let admin = admin(&draft, notes);
    clashes(&listeners, admin.as_ref(), notes);
    let upstreams: Vec<Arc<Upstream>> = draft
        .upstreams
        .iter()
        .filter_map(|upstream| check_upstream(upstream, notes))
        .map(Arc::new)
        .collect();
    let others = upstreams.iter();
    let others = others.map(|it| (&*it.name, !it.breaker.key.is_upstream()));
    let breakers = services::check(&draft, others, notes);
    let routes = wiring::routes(&draft, &upstreams, &listeners, start, notes);
    ladders::check(&draft, notes);
    wiring::usage(&draft, notes);
    check_shares(&draft, notes);
    Plan {
        listeners: listeners
            .into_iter()
            .map(|listener| Arc::new(listener.value))
            .collect(),
        admin: admin.map(|admin| admin.value),
        store: check_store(&draft, notes),
        fleet: check_fleet(&draft, notes),
        access_log: value_of(&draft.access_log).and_then(|log| log),
        limits: value_of(&draft.limits).unwrap_or_default(),
        upstreams,
        guards: Vec::new(),
        breakers,
        routes,
        app: None,
    }
}

/// Upstreams without an address, and those that stand before an application that there is not.
fn addresses(draft: &Draft, notes: &mut Notes) {
    for upstream in &draft.upstreams {
        let name = quote(&upstream.name.value);
        match &upstream.applies_to {
            // It has been reported already.
            Some(None) => {}
            Some(Some(target)) => notes.error(
                target.at,
                format!(
                    "the upstream {name} applies to an application's requests, and there is no application"
                ),
                "name the application's file beside this one, as in `fusebox run orders.xml guards.yaml`, or give a `url` instead",
            ),
            None if upstream.address.is_none() => notes.error(
                upstream.name.at,
                format!("the upstream {name} has no address"),
                "add `url: http://127.0.0.1:8081`",
            ),
            None => {}
        }
    }
}

fn listeners(draft: &Draft, start: Place, notes: &mut Notes) -> Vec<At<Listener>> {
    if let (Some(listen), Some(_)) = (&draft.listen, &draft.listeners) {
        notes.error(
            listen.at,
            "both `listen` and `listeners` are given",
            "keep one of them",
        );
    }
    let mut listeners: Vec<At<Listener>> = Vec::new();
    for address in draft.listen.iter().flat_map(|listen| &listen.value) {
        let listener = Listener {
            name: default_name(&listeners),
            addr: address.value,
            trusted_proxies: Vec::new(),
            encoded_slash_allowed: false,
            double_slash_allowed: false,
            manner: Manner::Native,
            tls: None,
            http2: None,
        };
        listeners.push(At::new(listener, address.at));
    }
    let mut drafted = 0;
    for listener in draft
        .listeners
        .iter()
        .flat_map(|listeners| &listeners.value)
    {
        drafted += 1;
        listeners.extend(check_listener(listener, &listeners, notes));
    }
    let listen = draft.listen.as_ref();
    let said = listen.map(|listen| (listen.at, listen.value.is_empty()));
    let said = said.or(place_of(&draft.listeners).map(|at| (at, drafted == 0)));
    // An unreadable listener has been reported already.
    if listeners.is_empty()
        && !draft.serves_programs()
        && said.is_none_or(|(_, empty)| empty)
        && notes.errors() == 0
    {
        let at = said.map_or(start, |(at, _)| at);
        notes.error(
            at,
            "no listener is configured, so no client can connect",
            "add `listen: 127.0.0.1:8080`",
        );
    }
    listeners
}

fn default_name(listeners: &[At<Listener>]) -> Arc<str> {
    match listeners.len() {
        0 => "default".into(),
        n => format!("default-{}", n + 1).into(),
    }
}

fn check_listener(
    draft: &DraftListener,
    others: &[At<Listener>],
    notes: &mut Notes,
) -> Option<At<Listener>> {
    let name = match &draft.name {
        Some(name) => name.value.text.as_str().into(),
        None => default_name(others),
    };
    if others.iter().any(|other| other.value.name == name) {
        notes.error(
            draft.name.as_ref().map_or(draft.at, |name| name.at),
            format!(
                "two listeners have the name {}",
                draft
                    .name
                    .as_ref()
                    .map_or(quote(&name), |name| name.value.shown.clone())
            ),
            "give each a name of its own",
        );
    }
    let addr = draft.addr.as_ref()?;
    let listener = Listener {
        name,
        addr: addr.value,
        trusted_proxies: draft.trusted_proxies.clone(),
        encoded_slash_allowed: draft.encoded_slash_allowed,
        double_slash_allowed: draft.double_slash_allowed,
        manner: Manner::Native,
        tls: draft.tls.clone(),
        http2: draft.http2,
    };
    Some(At::new(listener, addr.at))
}

pub(super) fn admin(draft: &Draft, notes: &mut Notes) -> Option<At<Admin>> {
    let admin = draft.admin.as_ref()?;
    let (addr, at) = admin
        .addr
        .as_ref()
        .map_or((ADMIN_ADDR, admin.at), |addr| (addr.value, addr.at));
    let token = admin.token.as_ref().map(|token| token.value.clone());
    if !addr.ip().to_canonical().is_loopback() && !admin.has_token {
        notes.error(
            at,
            format!("the admin API would listen on {addr}, away from loopback, without a token"),
            "add `token: \"${file:/run/secrets/admin}\"`, or listen on 127.0.0.1",
        );
    }
    let read_token = admin.read_token.as_ref();
    if let Some(read) = read_token {
        if !admin.has_token {
            notes.error(
                read.at,
                "`read_token` without `token`: everybody may do everything without one",
                "add `token`, the one that may also hold and reset breakers",
            );
        } else if token.as_ref() == Some(&read.value) {
            notes.error(
                read.at,
                "`read_token` is the same as `token`, which may do everything",
                "give it a value of its own",
            );
        }
    }
    let service_token = admin.service_token.as_ref();
    if let Some(service) = service_token {
        let same = |other: Option<&Secret>| other == Some(&service.value);
        if !admin.has_token {
            notes.error(
                service.at,
                "`service_token` without `token`: everybody may do everything without one",
                "add `token`, the one that may also hold and reset breakers",
            );
        } else if same(token.as_ref()) || same(read_token.map(|read| &read.value)) {
            notes.error(
                service.at,
                "`service_token` is the same as another token, which may do other things",
                "give it a value of its own",
            );
        }
    }
    let service_token = service_token.map(|token| token.value.clone());
    let read_token = read_token.map(|token| token.value.clone());
    let admin = Admin {
        addr,
        token,
        service_token,
        read_token,
    };
    Some(At::new(admin, at))
}

/// Two sockets on one port, as far as that can be told without opening them.
pub(super) fn clashes(listeners: &[At<Listener>], admin: Option<&At<Admin>>, notes: &mut Notes) {
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    let sockets = listeners
        .iter()
        .map(|listener| {
            (
                listener.value.addr,
                listener.at,
                format!("the listener {}", quote(&listener.value.name)),
            )
        })
        .chain(admin.map(|admin| (admin.value.addr, admin.at, "the admin API".to_owned())));
    for (addr, at, owner) in sockets {
        if let Some((_, other)) = taken.iter().find(|(other, _)| overlap(*other, addr)) {
            notes.error(
                at,
                format!("{owner} listens on {addr}, and so does {other}"),
                "give one of the two another port",
            );
        }
        taken.push((addr, owner));
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (x, y) = (a.ip().to_canonical(), b.ip().to_canonical());
    // `[::]` accepts IPv4 connections too on most systems; `0.0.0.0` accepts IPv4 alone.
    let covers = |x: IpAddr, y: IpAddr| x.is_unspecified() && (x.is_ipv6() || y.is_ipv4());
    a.port() != 0 && a.port() == b.port() && (x == y || covers(x, y) || covers(y, x))
}

fn check_upstream(draft: &DraftUpstream, notes: &mut Notes) -> Option<Upstream> {
    let (times, defaults) = (&draft.times, Timeout::default());
    let time = |time: &Option<At<Duration>>, default| time.as_ref().map_or(default, |it| it.value);
    let timeout = Timeout {
        connect: time(&times.connect, defaults.connect),
        request: time(&times.request, defaults.request),
        total: times.total.as_ref().map(|it| it.value),
        idle: time(&times.idle, defaults.idle),
    };
    check_times(times, notes);
    let mut breaker = breaker(draft, CallTimes::of(timeout.request), notes);
    if let Some(grpc) = draft.call.grpc {
        breaker.grpc_failure = grpc;
        let at = draft.keys.iter().find(|(key, _)| *key == "grpc");
        if let (Some((_, at)), Failure::Expression(_)) = (at, &breaker.failure) {
            notes.warn(
                *at,
                "`grpc.failure` has no effect: the breaker's `failure` decides, for calls of gRPC too",
                "remove it, and use `grpc_status` in `failure`",
            );
        }
    }
    let upstream = Upstream {
        http: http_version(draft, notes),
        pool_idle_max: draft
            .pool_idle
            .as_ref()
            .map_or(64, |idle| usize::try_from(idle.value).unwrap_or(usize::MAX)),
        pool_idle_timeout: draft
            .pool_idle_timeout
            .as_ref()
            .map_or(Duration::from_secs(30), |timeout| timeout.value),
        pool_max_age: draft
            .pool_max_age
            .as_ref()
            .map_or(Duration::from_secs(300), |age| age.value),
        breaker,
        ..course::upstream(draft, timeout, notes)
    };
    (!draft.endpoints.is_empty()).then_some(upstream)
}

/// The version of HTTP for an upstream; warns where ALPN is asked for and there is no TLS.
fn http_version(draft: &DraftUpstream, notes: &mut Notes) -> HttpVersion {
    let Some(http) = &draft.http else {
        return HttpVersion::default();
    };
    let is_cleartext = draft.endpoints.iter().all(|it| !it.endpoint.tls);
    if http.value == HttpVersion::Auto && is_cleartext && !draft.endpoints_broken {
        notes.warn(
            http.at,
            "`http: auto` has no effect: ALPN chooses the version within TLS, and no endpoint is `https`",
            "write `http: 2` for HTTP/2 in cleartext, or remove it for HTTP/1.1",
        );
    }
    http.value
}

/// Warns about a time for one attempt that the time for all of them cuts off.
pub(super) fn check_times(times: &DraftTimes, notes: &mut Notes) {
    if let (Some(request), Some(total)) = (&times.request, &times.total)
        && total.value < request.value
    {
        let (all, one) = (show_duration(total.value), show_duration(request.value));
        notes.warn(
            request.at,
            format!("`timeout.request` has no effect: the whole call ends after `timeout.total`, {all}, before an attempt could take {one}"),
            format!("write `request: {all}` or less, or raise `total`"),
        );
    }
}

/// The breaker before an upstream whose calls take so long; a disabled one where there is none.
pub(super) fn breaker(draft: &DraftUpstream, times: CallTimes<'_>, notes: &mut Notes) -> Breaker {
    match &draft.breaker {
        Some(Some(breaker)) => breaker.check(times, notes),
        Some(None) => Breaker::disabled(times.request),
        None => {
            notes.warn(
                draft.name.at,
                format!("the upstream {} has no breaker: its failures will not be contained", quote(&draft.name.value)),
                "add `breaker: {}` for one with all defaults, or `breaker: { mode: disabled }` if that is meant",
            );
            Breaker::disabled(times.request)
        }
    }
}
