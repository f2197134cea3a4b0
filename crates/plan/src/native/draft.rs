//! The configuration as written, each part with its place, before any part is compared with another.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fusebox_call::{Bulkhead, GrpcCodes, Hedge};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use super::breaker::DraftBreaker;
use super::ejection::DraftEjection;
use super::endpoints::DraftBalance;
use super::ladder::DraftLadder;
use super::retry::DraftRetry;
use super::services::DraftService;
use crate::access_log::AccessLog;
use crate::diagnostic::{At, Notes, Place};
use crate::fields::Fields;
use crate::interpolate::Loader;
use crate::keys;
use crate::path::Template;
use crate::plan::{
    Cors, FallbackOn, FieldChanges, Health, HostPattern, Http2, HttpVersion, LastGood, Limits,
    ListenerTls, Location, Rewrite, Secret, UpstreamHost, UpstreamTls, WeightedEndpoint,
};
use crate::tree::{Node, Scalar};

/// The contents of all files, merged.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub listen: Option<At<Vec<At<SocketAddr>>>>,
    pub listeners: Option<At<Vec<DraftListener>>>,
    pub admin: Option<DraftAdmin>,
    pub store: Option<DraftStore>,
    pub fleet: Option<DraftFleet>,
    /// The access log; an inner `None`: `to: off`.
    pub access_log: Option<At<Option<AccessLog>>>,
    pub limits: Option<At<Limits>>,
    pub upstreams: Vec<DraftUpstream>,
    /// The breakers without an upstream.
    pub services: Vec<DraftService>,
    /// True if some upstreams could not be read, so that no name of one is unknown.
    pub upstreams_doubtful: bool,
    /// True if some listeners could not be read, so that no name of one is unknown.
    pub listeners_doubtful: bool,
    pub routes: Vec<DraftRoute>,
}

#[derive(Debug)]
pub(crate) struct DraftListener {
    pub at: Place,
    pub name: Option<At<Name>>,
    pub addr: Option<At<SocketAddr>>,
    pub trusted_proxies: Vec<IpNet>,
    pub encoded_slash_allowed: bool,
    pub double_slash_allowed: bool,
    pub tls: Option<ListenerTls>,
    pub http2: Option<Http2>,
}

#[derive(Debug)]
pub(crate) struct DraftAdmin {
    pub at: Place,
    pub addr: Option<At<SocketAddr>>,
    pub token: Option<At<Secret>>,
    pub service_token: Option<At<Secret>>,
    pub read_token: Option<At<Secret>>,
    /// True if the file has a token, even an unreadable one.
    pub has_token: bool,
}

#[derive(Debug)]
pub(crate) struct DraftStore {
    pub at: Place,
    /// The kind; `None` if it could not be read.
    pub kind: Option<StoreKind>,
    pub path: Option<At<String>>,
    pub url: Option<At<Secret>>,
    /// True if the file has a URL, even an unreadable one.
    pub has_url: bool,
    pub prefix: Option<At<String>>,
    pub timeout: Option<At<Duration>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    Embedded,
    Valkey,
}

#[derive(Debug)]
pub(crate) struct DraftFleet {
    pub node: Option<At<String>>,
}

#[derive(Debug)]
pub(crate) struct DraftUpstream {
    pub name: At<String>,
    /// The place of its address, also of one that could not be read.
    pub address: Option<Place>,
    pub endpoints: Vec<WeightedEndpoint>,
    /// True if an endpoint could not be read.
    pub endpoints_broken: bool,
    pub applies_to: Option<Option<At<Name>>>,
    pub http: Option<At<HttpVersion>>,
    pub times: DraftTimes,
    pub pool_idle: Option<At<u64>>,
    pub pool_idle_timeout: Option<At<Duration>>,
    pub pool_max_age: Option<At<Duration>>,
    /// The breaker; `Some(None)` if the key exists and its value could not be read.
    pub breaker: Option<Option<DraftBreaker>>,
    pub call: DraftCall,
    /// The keys that the file has, with their places.
    pub keys: Vec<(&'static str, Place)>,
}

/// The limits on a call's duration.
#[derive(Debug, Default)]
pub(crate) struct DraftTimes {
    pub connect: Option<At<Duration>>,
    pub request: Option<At<Duration>>,
    pub total: Option<At<Duration>>,
    pub idle: Option<At<Duration>>,
}

/// The course of a call to an upstream.
#[derive(Debug, Default)]
pub(crate) struct DraftCall {
    pub balance: Option<DraftBalance>,
    pub ejection: Option<DraftEjection>,
    /// `grpc.failure`: the statuses of gRPC that fail.
    pub grpc: Option<GrpcCodes>,
    pub health: Option<Health>,
    pub resolve: Option<Duration>,
    pub tls: Option<At<UpstreamTls>>,
    pub bulkhead: Option<At<Bulkhead>>,
    pub request: Option<At<FieldChanges>>,
    pub retry: Option<DraftRetry>,
    pub hedge: Option<At<Hedge>>,
    pub host: UpstreamHost,
    pub location: Location,
    pub fallback: Option<DraftLadder>,
    /// True if the ladder, or a rung of it, could not be read.
    pub fallback_broken: bool,
    pub fallback_on: Option<At<FallbackOn>>,
    pub last_good: Option<At<LastGood>>,
}

impl DraftUpstream {
    /// An upstream of which only the name could be read.
    pub fn unread(name: At<String>) -> DraftUpstream {
        DraftUpstream {
            address: Some(name.at),
            name,
            endpoints: Vec::new(),
            endpoints_broken: true,
            applies_to: None,
            http: None,
            times: DraftTimes::default(),
            pool_idle: None,
            pool_idle_timeout: None,
            pool_max_age: None,
            breaker: Some(None),
            call: DraftCall::default(),
            keys: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct DraftRoute {
    pub at: Place,
    /// True if a key could not be read, so that missing keys are not reported.
    pub doubtful: bool,
    pub name: Option<At<Name>>,
    pub host: Option<At<HostPattern>>,
    pub path: Option<At<DraftPath>>,
    pub methods: Option<Vec<Method>>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub concurrency_max: Option<At<u64>>,
    pub request: Option<At<FieldChanges>>,
    pub response: Option<At<FieldChanges>>,
    pub cors: Option<At<Cors>>,
    pub retry: Option<DraftRetry>,
    pub fallback: Option<DraftLadder>,
    pub bulkhead: Option<At<Bulkhead>>,
    /// The keys that the file has, with their places.
    pub keys: Vec<(&'static str, Place)>,
    pub listeners: Option<Vec<At<Name>>>,
    pub upstream: Option<At<Name>>,
    pub respond: Option<At<Option<DraftRespond>>>,
    pub rewrite: Option<At<DraftRewrite>>,
}

#[derive(Debug)]
pub(crate) struct DraftRespond {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body as plans show it, where that differs.
    pub body_shown: Option<String>,
    pub json: bool,
    /// `on` of a rung's answer.
    pub on: Option<FallbackOn>,
}

/// A name in the file, and its form in messages.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub text: String,
    pub shown: String,
}

impl Name {
    pub fn of(scalar: &Scalar) -> Name {
        Name {
            text: scalar.text.clone(),
            shown: scalar.shown(),
        }
    }
}

/// A route's path, with its template.
#[derive(Debug)]
pub(crate) struct DraftPath {
    pub text: String,
    pub shown: String,
    pub template: Template,
}

/// A rewrite, and the place of each of its parts in the file.
#[derive(Debug)]
pub(crate) struct DraftRewrite {
    pub rewrite: Rewrite,
    pub places: Vec<Place>,
}

/// The context of reading a source, beside its tree.
pub(crate) struct Reader<'a> {
    pub lines: &'a [&'a str],
    pub loader: &'a dyn Loader,
    pub notes: &'a mut Notes,
}

impl Draft {
    /// Adds the contents of one source.
    pub fn add(&mut self, root: &Node, lines: &[&str], loader: &dyn Loader, notes: &mut Notes) {
        let mut reader = Reader {
            lines,
            loader,
            notes,
        };
        let Some(file) = Fields::open(root, &keys::FILE, reader.notes) else {
            return;
        };
        file.whole("version", reader.notes);
        let listen = reader.listen(&file);
        once(&mut self.listen, listen, &file, "listen", reader.notes);
        let listeners = reader.listeners(&file);
        once(
            &mut self.listeners,
            listeners,
            &file,
            "listeners",
            reader.notes,
        );
        let admin = reader.admin(&file);
        once(&mut self.admin, admin, &file, "admin", reader.notes);
        let store = reader.store(&file);
        once(&mut self.store, store, &file, "store", reader.notes);
        let fleet = reader.fleet(&file);
        once(&mut self.fleet, fleet, &file, "fleet", reader.notes);
        let log = reader.access_log(&file);
        once(&mut self.access_log, log, &file, "access_log", reader.notes);
        let limits = reader.limits(&file);
        once(&mut self.limits, limits, &file, "limits", reader.notes);
        reader.upstreams(&file, &mut self.upstreams);
        reader.services(&file, &mut self.services);
        let doubtful = |name| file.named(name).is_some() && file.place(name).is_none();
        self.upstreams_doubtful |= doubtful("upstreams") || !file.is_map("upstreams");
        self.listeners_doubtful |= doubtful("listeners") || doubtful("listen");
        reader.routes(&file, &mut self.routes);
    }
}

impl Draft {
    /// True if programs ask its breakers over the admin API, and it has no routes, so that it is whole without listeners.
    pub fn serves_programs(&self) -> bool {
        !self.services.is_empty() && self.routes.is_empty()
    }
}

/// Takes the value of a key, unless an earlier file has set it.
fn once<T>(
    slot: &mut Option<T>,
    value: Option<T>,
    file: &Fields<'_>,
    key: &str,
    notes: &mut Notes,
) {
    let (Some(value), Some(at)) = (value, file.place(key)) else {
        return;
    };
    if slot.is_some() {
        notes.error(
            at,
            format!("`{key}` is already given in another file"),
            "keep it in one of the files",
        );
        return;
    }
    *slot = Some(value);
}

impl Reader<'_> {
    pub(super) fn name(&mut self, fields: &Fields<'_>, key: &'static str) -> Option<At<Name>> {
        let name = fields.scalar(key, self.notes)?.map(Name::of);
        super::names::check_name(&name.value.text, &name.value.shown, name.at, self.notes);
        Some(name)
    }
}
