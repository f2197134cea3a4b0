//! APIkit: an API's flows, found by their names.
//!
//! `get:\\orders\\(id):config` is the flow of `GET /orders/{id}`, `post:\\orders:application\\json:config` one of several
//! of `POST /orders`. The API's own description, which APIkit validates requests against, is not read.
//!
//! Source: [APIkit](https://docs.mulesoft.com/apikit/latest/).

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_plan::dialect::{At, quote};
use http::Method;

use super::Lowering;
use super::names::{FLOWS, name_of};
use super::open::Open;
use crate::app::{Api, Does, ErrorType, FlowId, Given, RaiseError, Resource};

const CONFIG: &str = "apikit:config";

/// The APIs of an application, by the name of their configuration.
pub(super) type Apis = BTreeMap<Arc<str>, Arc<Api>>;

impl<'a> Lowering<'a> {
    /// Reads the declared APIs.
    pub fn declare_apis(&mut self) {
        for open in self.open_globals(&[CONFIG]) {
            let Some(name) = self.text(&open, "name") else {
                continue;
            };
            let description = open.attribute("api").or(open.attribute("raml"));
            if let Some(description) = description
                && self.flag(&open, "disableValidations") != Some(true)
            {
                let quoted = quote(&description.value.value);
                let what = format!(
                    "requests are routed by the names of flows, and not validated against {quoted}"
                );
                let mend = "check in the flows what must be checked, as by `validation:is-true`";
                self.warn(description.at, what, mend);
            }
            let mut api = self.named_for(name.text);
            if let Some(mappings) = self.open_part(&open, "apikit:flow-mappings") {
                for mapping in self.open_parts(&mappings, "apikit:flow-mapping") {
                    self.mapping(&mapping, &mut api);
                }
            }
            self.apis.insert(api.name.clone(), Arc::new(api));
        }
    }

    /// The API whose flows are named for a configuration.
    fn named_for(&mut self, config: &str) -> Api {
        let mut api = Api {
            name: config.into(),
            resources: Vec::new(),
        };
        for (index, element) in self.globals.each(FLOWS).into_iter().enumerate() {
            let Some(name) = name_of(element) else {
                continue;
            };
            if let Some((method, path, media_type)) = routed(&name.value, config) {
                self.resource(&mut api, name, method, &path, media_type, FlowId(index));
            }
        }
        api
    }

    fn resource(
        &mut self,
        api: &mut Api,
        at: &At<String>,
        method: Method,
        path: &str,
        media_type: Option<String>,
        flow: FlowId,
    ) {
        let path = match template(path) {
            Ok(path) => path,
            Err(segment) => {
                let what = format!(
                    "in {} a parameter is only a part of the segment {}",
                    quote(&at.value),
                    quote(segment)
                );
                let mend = "make each parameter a whole segment: `get:\\orders\\(id):config`";
                self.error(at.at, what, mend);
                return;
            }
        };
        let mut resources = api.resources.iter_mut();
        let known = resources.find(|it| it.method == method && it.path == path);
        let Some(known) = known else {
            api.resources.push(Resource {
                method,
                path,
                flows: vec![(media_type, flow)],
            });
            return;
        };
        if known.flows.iter().any(|(of, _)| *of == media_type) {
            let what = format!("{method} {path} of {} has two flows", quote(&api.name));
            self.warn(at.at, what, "remove one; the first is used");
            return;
        }
        known.flows.push((media_type, flow));
    }

    /// Reads an `apikit:flow-mapping`, which gives a resource a flow of another name.
    fn mapping(&mut self, open: &Open<'a>, api: &mut Api) {
        let path = self.text(open, "resource");
        let action = self.text(open, "action");
        let media_type = self.text(open, "content-type").map(|it| it.text.to_owned());
        let flow = self.text(open, "flow-ref");
        let (Some(path), Some(action), Some(flow)) = (path, action, flow) else {
            return;
        };
        let Some(method) = method_of(action.text) else {
            let what = format!("{} is not a method", quote(action.text));
            self.wrong(action, what, "write one such as `get`");
            return;
        };
        let Some(id) = self.globals.flow(flow.text) else {
            let what = format!("unknown flow {}", quote(flow.text));
            let mend = self.mend(flow.text, FLOWS, "add the file that defines it");
            self.wrong(flow, what, mend);
            return;
        };
        let at = At {
            at: open.at(),
            value: path.text.to_owned(),
        };
        self.resource(api, &at, method, path.text, media_type, id);
    }

    /// Reads an `apikit:router`.
    pub fn router(&mut self, open: &Open<'a>) -> Option<Does> {
        let name = self.text(open, "config-ref")?;
        if let Some(api) = self.apis.get(name.text).cloned() {
            if api.resources.is_empty() {
                let quoted = quote(name.text);
                let what = format!(
                    "no flow is named for {quoted}, so every request is `APIKIT:NOT_FOUND`"
                );
                let mend = format!("name flows as `get:\\orders\\(id):{}`", name.text);
                self.warn(open.at(), what, mend);
            }
            return Some(Does::Route(api));
        }
        let declare = format!("declare it: `<{CONFIG} name=\"{}\"/>`", name.text);
        let what = format!("nothing defines the API {}", quote(name.text));
        let mend = self.mend(name.text, &[CONFIG], &declare);
        self.deviation(name.at(), what, mend);
        let api = Arc::new(self.named_for(name.text));
        self.apis.insert(api.name.clone(), api.clone());
        Some(Does::Route(api))
    }

    /// Reads an `apikit:console`, in whose place there is nothing.
    pub fn console(&mut self, open: &Open<'a>) -> Option<Does> {
        self.text(open, "config-ref");
        let what =
            "APIkit's console is not part of this program: its requests are `APIKIT:NOT_FOUND`";
        self.warn(open.at(), what, "remove its flow, or ignore this");
        Some(Does::RaiseError(RaiseError {
            kind: ErrorType::new("APIKIT", "NOT_FOUND"),
            description: Some(Given::Literal("the console is not served here".into())),
        }))
    }
}

/// The method, path and media type that a flow's name says, if it is named for the API of this configuration.
fn routed(name: &str, config: &str) -> Option<(Method, String, Option<String>)> {
    let mut parts = name.split(':').map(str::trim);
    let method = method_of(parts.next()?)?;
    let path = parts.next()?;
    if !path.starts_with(['\\', '/']) {
        return None;
    }
    let rest: Vec<&str> = parts.collect();
    let is_media_type = |part: &str| part.contains(['\\', '/']);
    let media_type = match rest[..] {
        [] => None,
        [of] if of == config => None,
        [media_type] if is_media_type(media_type) => Some(media_type),
        [media_type, of] if of == config => Some(media_type),
        _ => return None,
    };
    let media_type = media_type.map(|it| it.replace('\\', "/"));
    Some((method, path.replace('\\', "/"), media_type))
}

fn method_of(text: &str) -> Option<Method> {
    let method = text.trim().to_ascii_uppercase();
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
    ];
    known.into_iter().find(|known| *known == *method)
}

/// A path with `{name}` for each parameter, which a flow's name says as `(name)`.
///
/// # Errors
/// A segment of which a parameter is only a part.
fn template(path: &str) -> Result<String, &str> {
    let mut whole = String::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let inner = |open, close| segment.strip_prefix(open)?.strip_suffix(close);
        let name = inner('(', ')').or_else(|| inner('{', '}'));
        let is_plain = |text: &str| !text.is_empty() && !text.contains(['(', ')', '{', '}', '*']);
        whole.push('/');
        match name {
            Some(name) if is_plain(name) => whole.push_str(&format!("{{{name}}}")),
            None if is_plain(segment) => whole.push_str(segment),
            _ => return Err(segment),
        }
    }
    Ok(match whole.is_empty() {
        true => "/".to_owned(),
        false => whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_s_name_says_what_it_takes() {
        let json = Some("application/json".to_owned());
        for (name, said) in [
            (r"get:\orders:api", Some((Method::GET, "/orders", None))),
            (
                r"GET:\orders\(id)",
                Some((Method::GET, "/orders/(id)", None)),
            ),
            (r"get:/orders:api", Some((Method::GET, "/orders", None))),
            (
                r"post:\orders:application\json:api",
                Some((Method::POST, "/orders", json.clone())),
            ),
            (
                r"post:\orders:application\json",
                Some((Method::POST, "/orders", json)),
            ),
            (r"get:\orders:other", None),
            (r"post:\orders:application\json:other", None),
            ("get:orders", None),
            (r"fetch:\orders:api", None),
            ("orders", None),
        ] {
            let found = routed(name, "api");
            let found = found.as_ref();
            let found = found.map(|(method, path, of)| (method.clone(), path.as_str(), of.clone()));
            assert_eq!(found, said, "{name}");
        }
    }

    #[test]
    fn a_parameter_is_a_whole_segment() {
        assert_eq!(template("/a/(b)/c"), Ok("/a/{b}/c".to_owned()));
        assert_eq!(template("/"), Ok("/".to_owned()));
        assert_eq!(template("/a/(b).json"), Err("(b).json"));
    }
}
