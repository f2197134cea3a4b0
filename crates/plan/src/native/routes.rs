//! Reads `routes:`: paths, methods, listeners, and each route's upstream or answer.

use http::{HeaderName, HeaderValue};

use super::bulkhead::read_bulkhead;
use super::draft::{DraftPath, DraftRewrite, DraftRoute, Name, Reader};
use super::header_fields::Field;
use super::retry::read_retry;
use crate::diagnostic::{At, Place};
use crate::fields::{self, Fields};
use crate::keys;
use crate::path::{self, PathFault, Template};
use crate::tree::{Scalar, place_within};

impl Reader<'_> {
    pub(super) fn routes(&mut self, file: &Fields<'_>, routes: &mut Vec<DraftRoute>) {
        let Some((_, node)) = file.get("routes") else {
            return;
        };
        for item in fields::items(node, "routes", self.notes).unwrap_or_default() {
            let errors = self.notes.errors();
            if let Some(route) = Fields::open(item, &keys::ROUTE, self.notes) {
                let doubtful = self.notes.errors() > errors;
                routes.push(DraftRoute {
                    doubtful,
                    ..self.route(&route)
                });
            }
        }
    }

    fn route(&mut self, route: &Fields<'_>) -> DraftRoute {
        let path = self.parsed_path(route, "path", |text| match path::foreign(text) {
            None => Template::read(text),
            Some(fault) => Err(fault),
        });
        let rewrite = self.parsed_path(route, "rewrite", path::read_rewrite);
        let rewrite = rewrite.map(|(scalar, rewrite)| {
            rewrite.map(|(rewrite, offsets)| DraftRewrite {
                places: offsets
                    .iter()
                    .map(|offset| self.within(route, "rewrite", scalar, *offset))
                    .collect(),
                rewrite,
            })
        });
        DraftRoute {
            at: route.at,
            doubtful: false,
            name: self.name(route, "name"),
            host: self.host(route),
            path: path.map(|(scalar, path)| {
                path.map(|template| DraftPath {
                    text: path::normal(&scalar.text).into_owned(),
                    shown: scalar.shown(),
                    template,
                })
            }),
            methods: self.method_list(
                route,
                "methods",
                (
                    "a route without methods matches no request",
                    "name the methods, as in `[GET, POST]`, or remove the key to take all",
                ),
            ),
            headers: self.matched_fields(route),
            concurrency_max: route.whole("max_concurrency", self.notes),
            request: self.field_changes(route, "request"),
            response: self.field_changes(route, "response"),
            cors: self.cors(route),
            retry: read_retry(route, self),
            fallback: self.ladder(route),
            bulkhead: read_bulkhead(route, self.notes),
            keys: route.places(),
            listeners: self.names(route, "listeners"),
            upstream: route
                .scalar("upstream", self.notes)
                .map(|scalar| scalar.map(Name::of)),
            respond: route
                .get("respond")
                .map(|(_, node)| At::new(self.respond(node, &keys::RESPOND), node.at)),
            rewrite,
        }
    }

    fn matched_fields(&mut self, route: &Fields<'_>) -> Vec<(HeaderName, HeaderValue)> {
        const HOST: [(&str, &str, &str); 1] = [(
            "host",
            "the field `host` has a key of its own",
            "write `host: api.example.com` beside `path`",
        )];
        let fields = self.header_fields(route, "headers", &HOST);
        fields.into_iter().map(Field::guarded).collect()
    }

    fn parsed_path<'n, T>(
        &mut self,
        route: &Fields<'n>,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, PathFault>,
    ) -> Option<(&'n Scalar, At<T>)> {
        let scalar = route.scalar(key, self.notes)?;
        match read(&scalar.value.text) {
            Ok(value) => Some((scalar.value, At::new(value, scalar.at))),
            Err(PathFault { offset, what, mend }) => {
                let at = self.within(route, key, scalar.value, offset);
                fields::refuse(at, scalar.value, what, mend, self.notes)
            }
        }
    }

    fn within(
        &self,
        fields: &Fields<'_>,
        key: &'static str,
        scalar: &Scalar,
        offset: usize,
    ) -> Place {
        let at = fields.get(key).map_or(fields.at, |(_, node)| node.at);
        // After interpolation an offset no longer corresponds to a place in the file.
        if scalar.written.is_some() {
            at
        } else {
            place_within(self.lines, at, scalar, offset)
        }
    }

    fn names(&mut self, fields: &Fields<'_>, key: &'static str) -> Option<Vec<At<Name>>> {
        let (_, node) = fields.get(key)?;
        let items = fields::items(node, key, self.notes)?;
        if items.is_empty() {
            self.notes.error(
                node.at,
                format!("`{key}` is empty"),
                "name at least one, or remove the key to mean all",
            );
        }
        let texts = items
            .iter()
            .filter_map(|item| {
                let scalar = fields::scalar(item, key, "a name", self.notes)?;
                Some(At::new(Name::of(scalar), item.at))
            })
            .collect();
        Some(texts)
    }
}
