//! The HTTP listener of a flow: path, methods, responses.

use std::collections::BTreeMap;

use fusebox_plan::dialect::{Place, check_literal, quote};
use http::Method;

use super::Lowering;
use super::names::shown;
use super::open::Open;
use super::values::Written;
use crate::app::{Compat, Does, Given, HttpSource, Processor, Respond, SetVariable};

/// The element that describes the response of a flow that has ended well.
pub(super) const RESPONSE: &str = "http:response";

/// The paths in use, by configuration and shape, with their methods and positions.
#[derive(Default)]
pub(super) struct TakenPaths(BTreeMap<(String, String), Vec<Listening>>);

/// The methods of a listener (`None`: all), and its position.
type Listening = (Option<Vec<Method>>, Place);

impl<'a> Lowering<'a> {
    /// Reads a flow's listener.
    pub fn http_source(&mut self, open: &Open<'a>, taken: &mut TakenPaths) -> Option<HttpSource> {
        let config = self.listener_named(open);
        let path = self.text(open, "path");
        let methods = self.methods(open);
        let media_type = self.media_type(open, "outputMimeType");
        let response = self.respond(open, RESPONSE);
        let error_response = self.respond(open, "http:error-response");
        let (config, written) = (config?, path?);
        let path = self.checked(written, path_of(&config.base_path, written.text))?;
        self.take(taken, &config.name, &path, &methods, written);
        Some(HttpSource {
            config,
            path,
            methods,
            media_type,
            response,
            error_response,
        })
    }

    /// Refuses a path that another flow has for one of the same methods.
    fn take(
        &mut self,
        taken: &mut TakenPaths,
        config: &str,
        path: &str,
        methods: &Option<Vec<Method>>,
        written: Written<'a>,
    ) {
        let others = taken.0.entry((config.to_owned(), shape(path))).or_default();
        let meets = |other: &Option<Vec<Method>>| match (methods, other) {
            (Some(ours), Some(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            _ => true,
        };
        if let Some((_, first)) = others.iter().find(|(other, _)| meets(other)) {
            let (path, there) = (quote(path), shown(*first, self.names));
            let what = format!("{path} has the path and a method of the listener at {there}");
            let mend = "change one path, or separate them by `allowedMethods`";
            self.error(written.at(), what, mend);
        }
        others.push((methods.clone(), written.at()));
    }

    fn methods(&mut self, open: &Open<'a>) -> Option<Vec<Method>> {
        let written = self.text(open, "allowedMethods")?;
        let mut methods = Vec::new();
        for name in written.text.split(',').map(str::trim) {
            match Method::from_bytes(name.to_ascii_uppercase().as_bytes()) {
                Ok(method) if methods.contains(&method) => {}
                Ok(method) if name != "*" => methods.push(method),
                _ => self.wrong(
                    written,
                    format!("{} is not a method", quote(name)),
                    "separate methods with commas, `GET, POST`; without `allowedMethods` all are accepted",
                ),
            }
        }
        Some(methods)
    }

    fn respond(&mut self, open: &Open<'a>, name: &'static str) -> Option<Respond> {
        let open = self.open_part(open, name)?;
        Some(self.respond_of(&open))
    }

    fn respond_of(&mut self, open: &Open<'a>) -> Respond {
        Respond {
            status: self.number(open, "statusCode"),
            reason: self.given(open, "reasonPhrase"),
            body: self.given_part(open, "http:body"),
            headers: self.object_part(open, "http:headers"),
        }
    }
}

impl<'a> Lowering<'a> {
    /// Reads an `http:response` among processors, where Mule does not allow it: its status and header fields become
    /// those of the response, as if the flow had set the variables for them.
    pub fn respond_here(&mut self, open: &Open<'a>) -> Vec<Processor> {
        let what = "Mule refuses `http:response` among the steps of a flow";
        let mend = "put it into the `http:listener`, with `statusCode=\"#[vars.httpStatus default 200]\"`, and set the variable here";
        match self.compat {
            Compat::Intent => {
                let what = format!("{what}; its status becomes that of the response");
                self.warn(open.at(), what, mend);
            }
            Compat::Strict => self.error(open.at(), what, mend),
        }
        let site = self.site(open.at());
        self.responding.insert(site.clone());
        let respond = self.respond_of(open);
        if let Some(reason) = open.attribute("reasonPhrase") {
            let what = "`reasonPhrase` has no effect here";
            self.warn(reason.at, what, "remove it, or move it to the listener");
        }
        let set = |name: &str, value: Given| {
            Does::SetVariable(SetVariable {
                name: Given::Literal(name.into()),
                value,
                media_type: None,
            })
        };
        let body = respond.body.map(|value| Does::SetPayload {
            value,
            media_type: None,
        });
        let status = respond.status.map(|value| set("httpStatus", value));
        let headers = respond.headers.map(|value| set("outboundHeaders", value));
        let steps = [body, status, headers].into_iter().flatten();
        let steps = steps.map(|does| Processor {
            site: site.clone(),
            does,
            mappings: Vec::new(),
        });
        steps.collect()
    }
}

/// The whole path of a listener, base path included.
fn path_of(base: &str, path: &str) -> Result<String, (String, String)> {
    let whole = format!("{base}/{}", path.trim().trim_start_matches('/'));
    let whole = whole.trim_end_matches('/');
    if whole.is_empty() {
        return Ok("/".to_owned());
    }
    let mut names = Vec::new();
    for segment in whole.split('/').skip(1) {
        check_segment(segment, &mut names)?;
    }
    Ok(whole.to_owned())
}

fn check_segment<'p>(segment: &'p str, names: &mut Vec<&'p str>) -> Result<(), (String, String)> {
    let fault = |what: String, mend: &str| Err((what, mend.to_owned()));
    if segment == "*" {
        return Ok(());
    }
    if segment.is_empty() {
        return fault(
            "the path has an empty segment (`//`)".to_owned(),
            "remove one of the slashes",
        );
    }
    if segment.contains('*') {
        return fault(
            format!("in {} `*` is only a part of the segment", quote(segment)),
            "make `*` a whole segment, or name it: `{rest}`",
        );
    }
    let inside = segment
        .strip_prefix('{')
        .and_then(|segment| segment.strip_suffix('}'));
    if let Some(name) = inside
        && !name.is_empty()
        && !name.contains(['{', '}'])
    {
        if names.contains(&name) {
            return fault(
                format!("the path has {} twice", quote(segment)),
                "give each its own name",
            );
        }
        names.push(name);
        return Ok(());
    }
    if segment.contains(['{', '}']) {
        return fault(
            format!("in {} a parameter is not a whole segment", quote(segment)),
            "write it alone between slashes, as in `/orders/{id}`",
        );
    }
    check_literal(segment, 0).map_err(|fault| (fault.what, fault.mend))
}

/// A path without the names of its parameters; paths of equal shape match the same requests.
fn shape(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => "{}",
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_and_path_are_one_path() {
        for (base, path, whole) in [
            ("", "/api/orders", "/api/orders"),
            ("", "orders", "/orders"),
            ("/api", "/orders/{id}/", "/api/orders/{id}"),
            ("/api", "/", "/api"),
            ("", "/", "/"),
            ("", "/*", "/*"),
            ("", "/a/*/b", "/a/*/b"),
        ] {
            assert_eq!(path_of(base, path).as_deref(), Ok(whole), "{base} {path}");
        }
    }

    #[test]
    fn a_path_that_mule_refuses_is_refused() {
        for path in [
            "/a*",
            "/a/b*/c",
            "/{a}/{a}",
            "/{a}.json",
            "/{}",
            "/a//b",
            "/a?b",
            "/a b",
            "/../b",
        ] {
            assert!(path_of("", path).is_err(), "{path}");
        }
    }

    #[test]
    fn names_of_parameters_do_not_tell_paths_apart() {
        assert_eq!(shape("/a/{x}"), shape("/a/{y}"));
        assert_ne!(shape("/a/{x}"), shape("/a/*"));
        assert_ne!(shape("/a/{x}"), shape("/a/x"));
    }
}
