//! Reads an upstream's addresses, the choice among them, and the checks of each.

use std::sync::Arc;

use fusebox_call::Balance;
use http::uri::PathAndQuery;

use super::breaker::read_condition;
use super::draft::Reader;
use super::names;
use crate::diagnostic::{At, quote};
use crate::failure::Expect;
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::{Endpoint, Health, Key, KeyPart, WeightedEndpoint};
use crate::tree::Node;
use crate::url;

/// The choice among endpoints, with the template of a hash's text.
pub(super) type DraftBalance = (Balance, Option<At<Key>>);

impl Reader<'_> {
    pub(super) fn endpoints(&mut self, upstream: &Fields<'_>) -> Vec<WeightedEndpoint> {
        match (upstream.get("url"), upstream.get("endpoints")) {
            (Some((_, url)), None) => self
                .url(url)
                .map(WeightedEndpoint::from)
                .into_iter()
                .collect(),
            (None, Some((_, list))) => self.listed(list),
            (Some(_), Some((_, list))) => {
                self.notes.error(
                    list.at,
                    "both `url` and `endpoints` are given",
                    "keep one of them",
                );
                Vec::new()
            }
            (None, None) => Vec::new(),
        }
    }

    fn listed(&mut self, list: &Node) -> Vec<WeightedEndpoint> {
        let items = fields::items(list, "endpoints", self.notes);
        if items.is_some_and(<[Node]>::is_empty) {
            self.notes.error(
                list.at,
                "`endpoints` is empty",
                "add `- url: http://127.0.0.1:8081`",
            );
        }
        let mut endpoints: Vec<WeightedEndpoint> = Vec::new();
        for item in items.unwrap_or_default() {
            let Some(endpoint) = Fields::open(item, &keys::ENDPOINT, self.notes) else {
                continue;
            };
            let weight = endpoint.count("weight", self.notes);
            let Some((_, node)) = endpoint.get("url") else {
                continue;
            };
            let Some(address) = self.url(node) else {
                continue;
            };
            if endpoints.iter().any(|other| other.endpoint == address) {
                self.notes.error(
                    node.at,
                    format!("the endpoint {} is given twice", quote(&address.url())),
                    "remove one of the two; `weight` gives the other more calls",
                );
                continue;
            }
            endpoints.push(WeightedEndpoint {
                endpoint: address,
                weight: weight.map_or(1, |weight| weight.value),
            });
        }
        endpoints
    }

    fn url(&mut self, node: &Node) -> Option<Endpoint> {
        let scalar = fields::scalar(
            node,
            "url",
            "a URL such as `http://127.0.0.1:8081`",
            self.notes,
        )?;
        match url::read(scalar.text.trim()) {
            Ok(endpoint) => Some(endpoint),
            Err((what, mend)) => fields::refuse(node.at, scalar, what, mend, self.notes),
        }
    }

    pub(super) fn balance(&mut self, upstream: &Fields<'_>) -> Option<DraftBalance> {
        let Some(map) = upstream.map_in("balance", self.notes) else {
            let word = upstream.word("balance", self.notes)?.value;
            let words = [Balance::RoundRobin, Balance::LeastRequest, Balance::P2cEwma];
            return Some((words[word].clone(), None));
        };
        let scalar = map?.scalar("hash", self.notes)?;
        let key = names::read_key(&scalar.value.text).and_then(|key| {
            let same = |part: &&KeyPart| matches!(part, KeyPart::Upstream | KeyPart::Endpoint);
            match key.0.iter().find(same) {
                None => Ok(key),
                Some(_) => Err((
                    "this text chooses the endpoint, so `{upstream}` and `{endpoint}` say nothing in it".to_owned(),
                    "write parts such as `{header.x-tenant}`".to_owned(),
                )),
            }
        });
        match key {
            Ok(key) => Some((Balance::Hash, Some(At::new(key, scalar.at)))),
            Err((what, mend)) => fields::refuse(scalar.at, scalar.value, what, mend, self.notes),
        }
    }

    pub(super) fn health(&mut self, upstream: &Fields<'_>) -> Option<Health> {
        let health = upstream.section("health", self.notes)?;
        let grpc = self.health_by_grpc(&health);
        let path = health.scalar("path", self.notes);
        let path = path.and_then(|scalar| {
            let text = scalar.value.text.trim();
            if text.starts_with('/') && text.parse::<PathAndQuery>().is_ok() {
                return Some((text.to_owned(), scalar.value.is_filled()));
            }
            let what = format!("{} is not a path", scalar.value.shown());
            let mend = "write one such as `/healthz`".to_owned();
            fields::refuse(scalar.at, scalar.value, what, mend, self.notes)
        });
        let (interval, timeout) = (
            health.duration("interval", self.notes),
            health.duration("timeout", self.notes),
        );
        let (rise, fall) = (
            health.count("rise", self.notes),
            health.count("fall", self.notes),
        );
        let expect = read_condition(&health, "expect", Expect::read, self);
        let jitter = health.share("jitter", self.notes);
        let (path, is_path_hidden) = match (&grpc, path) {
            (Some(_), _) => (String::new(), false),
            (None, path) => path?,
        };
        let defaults = Health::at(path);
        Some(Health {
            interval: interval.map_or(defaults.interval, |it| it.value),
            timeout: timeout.map_or(defaults.timeout, |it| it.value),
            rise: rise.map_or(defaults.rise, |it| it.value),
            fall: fall.map_or(defaults.fall, |it| it.value),
            expect: expect.map_or(defaults.expect, |it| it.value),
            jitter: jitter.map_or(defaults.jitter, |it| it.value),
            path: defaults.path,
            is_path_hidden,
            grpc,
        })
    }

    /// The service that the checks ask the health service of gRPC for; `None`: they ask for a path.
    fn health_by_grpc(&mut self, health: &Fields<'_>) -> Option<Arc<str>> {
        let asks = health.flag("grpc", self.notes);
        let service = health.text("service", self.notes);
        if asks.as_ref().is_some_and(|asks| asks.value) {
            for key in ["path", "expect"] {
                if let Some(at) = health.place(key) {
                    self.notes.error(
                        at,
                        format!("`{key}` says nothing beside `grpc`: the health service of gRPC says by itself how it is"),
                        "keep one of the two",
                    );
                }
            }
            return Some(service.map_or_else(Arc::default, |it| it.value.into()));
        }
        if let Some(service) = service {
            self.notes.error(
                service.at,
                "`service` is for the health service of gRPC, which is not asked",
                "add `grpc: true`, or remove it",
            );
        }
        if health.named("path").is_none() {
            self.notes.error(
                health.at,
                "`health` needs the key `path`",
                "add `path: /healthz`, or `grpc: true` for a server that has the health service of gRPC",
            );
        }
        None
    }
}
