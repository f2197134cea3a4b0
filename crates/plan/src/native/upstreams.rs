//! Reads `upstreams:`: timeouts, pools, breakers, and the course of a call.

use super::breaker::DraftBreaker;
use super::bulkhead::read_bulkhead;
use super::draft::{DraftCall, DraftTimes, DraftUpstream, Name, Reader};
use super::ejection::read_ejection;
use super::retry::{read_hedge, read_retry};
use super::upstream_host::{read_host, read_location};
use crate::diagnostic::{At, quote};
use crate::fields::Fields;
use crate::keys;
use crate::plan::HttpVersion;
use crate::tree::Kind;

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
            let errors = self.notes.errors();
            let endpoints = self.endpoints(&upstream);
            let endpoints_broken = self.notes.errors() > errors;
            let address = upstream.named("url").or(upstream.named("endpoints"));
            let applies_to = upstream.get("applies_to").map(|_| {
                let scalar = upstream.scalar("applies_to", self.notes)?;
                Some(scalar.map(Name::of))
            });
            let pool = upstream.section("pool", self.notes);
            upstreams.push(DraftUpstream {
                name,
                address,
                endpoints,
                endpoints_broken,
                applies_to,
                http: self.http_version(&upstream),
                times: self.times(&upstream),
                pool_idle: pool
                    .as_ref()
                    .and_then(|pool| pool.whole("idle", self.notes)),
                pool_idle_timeout: pool
                    .as_ref()
                    .and_then(|pool| pool.duration("idle_timeout", self.notes)),
                pool_max_age: pool
                    .as_ref()
                    .and_then(|pool| pool.duration("max_age", self.notes)),
                breaker: match upstream.get("breaker") {
                    Some((_, node)) => Some(DraftBreaker::read(node, self)),
                    None => upstream.named("breaker").map(|_| None),
                },
                call: self.call(&upstream),
                keys: upstream.places(),
            });
        }
    }

    fn http_version(&mut self, upstream: &Fields<'_>) -> Option<At<HttpVersion>> {
        let written = upstream.scalar("http", self.notes)?;
        let version = HttpVersion::named(&written.value.text);
        if version.is_none() {
            let found = quote(&written.value.text);
            self.notes.error(
                written.at,
                format!("`http` must be `1`, `2` or `auto`, found {found}"),
                "write `2` for HTTP/2, `1` for HTTP/1.1, or `auto` for what ALPN chooses",
            );
        }
        Some(At::new(version?, written.at))
    }

    fn times(&mut self, upstream: &Fields<'_>) -> DraftTimes {
        let Some(timeout) = upstream.section("timeout", self.notes) else {
            return DraftTimes::default();
        };
        let mut time = |key| timeout.duration(key, self.notes);
        DraftTimes {
            connect: time("connect"),
            request: time("request"),
            total: time("total"),
            idle: time("idle"),
        }
    }

    fn call(&mut self, upstream: &Fields<'_>) -> DraftCall {
        let balance = self.balance(upstream);
        let errors = self.notes.errors();
        let fallback = self.ladder(upstream);
        let fallback_broken = self.notes.errors() > errors
            || (fallback.is_none() && upstream.named("fallback").is_some());
        DraftCall {
            balance,
            ejection: read_ejection(upstream, self.notes),
            grpc: self.grpc(upstream),
            health: self.health(upstream),
            resolve: upstream.duration("resolve", self.notes).map(|it| it.value),
            tls: self.upstream_tls(upstream),
            bulkhead: read_bulkhead(upstream, self.notes),
            request: self.field_changes(upstream, "request"),
            retry: read_retry(upstream, self),
            hedge: read_hedge(upstream, self.notes),
            host: read_host(upstream, self.notes).unwrap_or_default(),
            location: read_location(upstream, self.notes),
            fallback,
            fallback_broken,
            fallback_on: self.fallback_on(upstream),
            last_good: self.last_good(upstream),
        }
    }
}
