//! Reads `upstreams:`: addresses, timeouts, pools and breakers.

use super::breaker::DraftBreaker;
use super::draft::{DraftUpstream, Name, Reader};
use crate::diagnostic::{At, quote};
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::Endpoint;
use crate::tree::{Kind, Node};
use crate::url;

impl Reader<'_> {
    pub(super) fn upstreams(&mut self, file: &Fields<'_>, upstreams: &mut Vec<DraftUpstream>) {
        let Some((_, node)) = file.get("upstreams") else {
            return;
        };
        let Kind::Map(entries) = &node.kind else {
            self.notes.error(
                node.at,
                format!(
                    "`upstreams` must be a map from names, found {}",
                    node.describe()
                ),
                "write `orders: { url: http://127.0.0.1:8081 }` below it",
            );
            return;
        };
        for entry in entries {
            let name = At::new(entry.key.clone(), entry.at);
            super::names::check_name(&name.value, &quote(&name.value), name.at, self.notes);
            if upstreams.iter().any(|other| other.name.value == name.value) {
                self.notes.error(
                    name.at,
                    format!(
                        "the upstream {} is already given in another file",
                        quote(&name.value)
                    ),
                    "give one of the two another name",
                );
                continue;
            }
            let Some(upstream) = Fields::open(&entry.value, &keys::UPSTREAM, self.notes) else {
                // Recorded by name, so that routes to it are not reported.
                upstreams.push(DraftUpstream::unread(name));
                continue;
            };
            let address = upstream
                .place("url")
                .or_else(|| upstream.place("endpoints"));
            let endpoint = self.endpoint(&upstream);
            let applies_to = upstream.get("applies_to").map(|_| {
                let scalar = upstream.scalar("applies_to", self.notes)?;
                Some(scalar.map(Name::of))
            });
            let timeout = upstream.section("timeout", self.notes);
            let mut time = |key| timeout.as_ref()?.duration(key, self.notes);
            let (connect, request, idle) = (time("connect"), time("request"), time("idle"));
            let pool = upstream.section("pool", self.notes);
            upstreams.push(DraftUpstream {
                name,
                address,
                endpoint,
                applies_to,
                connect,
                request,
                idle,
                pool_idle: pool
                    .as_ref()
                    .and_then(|pool| pool.whole("idle", self.notes)),
                pool_idle_timeout: pool
                    .as_ref()
                    .and_then(|pool| pool.duration("idle_timeout", self.notes)),
                pool_max_age: pool
                    .as_ref()
                    .and_then(|pool| pool.duration("max_age", self.notes)),
                breaker: upstream
                    .get("breaker")
                    .map(|(_, node)| DraftBreaker::read(node, self)),
            });
        }
    }

    fn endpoint(&mut self, upstream: &Fields<'_>) -> Option<Endpoint> {
        match (upstream.get("url"), upstream.get("endpoints")) {
            (Some((_, url)), None) => self.url(url),
            (None, Some((_, list))) => {
                let items = fields::items(list, "endpoints", self.notes)?;
                let mut endpoints = Vec::new();
                for item in items {
                    let Some(endpoint) = Fields::open(item, &keys::ENDPOINT, self.notes) else {
                        continue;
                    };
                    if let Some((_, url)) = endpoint.get("url") {
                        endpoints.extend(self.url(url));
                    }
                }
                match items {
                    [] => {
                        self.notes.error(
                            list.at,
                            "`endpoints` is empty",
                            "add `- url: http://127.0.0.1:8081`",
                        );
                    }
                    [_] => {}
                    [_, second, ..] => self.notes.error(
                        second.at,
                        "several endpoints are not supported yet",
                        "keep one endpoint, or name a load balancer's address",
                    ),
                }
                endpoints.into_iter().next()
            }
            (Some(_), Some((_, list))) => {
                self.notes.error(
                    list.at,
                    "both `url` and `endpoints` are given",
                    "keep one of them",
                );
                None
            }
            (None, None) => None,
        }
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
}
