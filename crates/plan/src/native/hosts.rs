//! Reads what a route says of a request's origin: its `host`, and the other origins of `cors`.

use super::draft::Reader;
use crate::diagnostic::{At, quote};
use crate::fields::{self, Fields};
use crate::plan::{Cors, HostPattern, Origins};
use crate::url;

impl Reader<'_> {
    pub(super) fn host(&mut self, route: &Fields<'_>) -> Option<At<HostPattern>> {
        let scalar = route.scalar("host", self.notes)?;
        match host_pattern(scalar.value.text.trim()) {
            Ok(host) => Some(At::new(host, scalar.at)),
            Err((what, mend)) => fields::refuse(scalar.at, scalar.value, what, mend, self.notes),
        }
    }

    pub(super) fn cors(&mut self, route: &Fields<'_>) -> Option<At<Cors>> {
        let cors = route.section("cors", self.notes)?;
        let origins = self.origins(&cors);
        let methods = self.method_list(
            &cors,
            "methods",
            (
                "without methods no preflight is granted",
                "name the methods, as in `[GET, POST]`, or remove the key to take the route's",
            ),
        );
        let headers = self.field_names(&cors, "headers", &[]);
        let credentials = cors.flag("credentials", self.notes);
        let max_age = cors.duration("max_age", self.notes);
        let credentials_allowed = credentials.as_ref().is_some_and(|it| it.value);
        if let (Some(Origins::All), Some(credentials), true) =
            (&origins, credentials, credentials_allowed)
        {
            self.notes.error(
                credentials.at,
                "with `origins: [\"*\"]` every site could act in the name of a user: browsers refuse it",
                "name the origins, as in `[\"https://app.example.com\"]`, or remove `credentials`",
            );
        }
        if credentials_allowed && headers.iter().any(|name| name == "*") {
            self.notes.error(
                cors.place("headers").unwrap_or(cors.at),
                "with `credentials` browsers take `*` for a field of that name",
                "name the fields, as in `[content-type]`, or remove `credentials`",
            );
        }
        Some(At::new(
            Cors {
                origins: origins?,
                methods,
                headers,
                credentials: credentials_allowed,
                max_age: max_age.map(|it| it.value),
            },
            cors.at,
        ))
    }

    fn origins(&mut self, cors: &Fields<'_>) -> Option<Origins> {
        let (_, node) = cors.get("origins")?;
        let items = fields::items(node, "origins", self.notes)?;
        if items.is_empty() {
            self.notes.error(
                node.at,
                "`origins` is empty, so no script may read an answer",
                "name origins such as `https://app.example.com`, or remove `cors`",
            );
        }
        let mut origins = Vec::new();
        let mut all = None;
        for item in items {
            let expected = "an origin such as `https://app.example.com`";
            let Some(scalar) = fields::scalar(item, "origins", expected, self.notes) else {
                continue;
            };
            let text = scalar.text.trim();
            if text == "*" {
                all = Some(item.at);
                continue;
            }
            let fault = match url::read(text) {
                Err((what, _)) => (what, format!("write {expected}")),
                Ok(endpoint) => {
                    let scheme = if endpoint.tls { "https" } else { "http" };
                    let origin = format!("{scheme}://{}", endpoint.authority);
                    if origin == text.to_ascii_lowercase() {
                        origins.push(origin);
                        continue;
                    }
                    let what = format!(
                        "{} is more than an origin, which is scheme, host and port",
                        scalar.shown()
                    );
                    (what, format!("write {}", quote(&origin)))
                }
            };
            fields::refuse::<()>(item.at, scalar, fault.0, fault.1, self.notes);
        }
        match all {
            None => Some(Origins::These(origins)),
            Some(at) => {
                if items.len() > 1 {
                    self.notes.error(
                        at,
                        "`*` lets every origin in, beside those that are named",
                        "keep `*` alone, or remove it",
                    );
                }
                Some(Origins::All)
            }
        }
    }
}

/// Reads a host; on failure, the fault and its mend.
fn host_pattern(text: &str) -> Result<HostPattern, (String, String)> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    let (name, suffix) = match lower.strip_prefix("*.") {
        Some(suffix) => (suffix, true),
        None => (lower, false),
    };
    if name.contains('*') {
        return Err((
            format!(
                "{} is not a host: `*` stands for the first labels alone",
                quote(text)
            ),
            "write one such as `*.example.com`, or remove the key to take all hosts".to_owned(),
        ));
    }
    if let Some((_, rest)) = name.split_once("://") {
        return Err((
            format!(
                "{} is a URL, and a host is compared by its name alone",
                quote(text)
            ),
            format!(
                "write {}",
                quote(rest.split('/').next().unwrap_or_default())
            ),
        ));
    }
    if name.contains('/') {
        return Err((
            format!("{} is not a host's name", quote(text)),
            "write the name alone, and the path in `path`".to_owned(),
        ));
    }
    match url::read(&format!("http://{name}")) {
        Ok(endpoint) if endpoint.authority == name && endpoint.port == 80 => Ok(match suffix {
            false => HostPattern::Exact(lower.to_owned()),
            true => HostPattern::Below(format!(".{name}")),
        }),
        Ok(_) => Err((
            "a host is compared without its port".to_owned(),
            format!(
                "write {}",
                quote(text.rsplit_once(':').map_or(text, |it| it.0))
            ),
        )),
        Err((what, mend)) => Err((what, mend)),
    }
}
