//! APIkit's router: runs the flow that is named for a request's method, path and media type.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, MuleError};
use super::router::{FlowRouter, RouteMatch};
use super::scopes::attempt;
use crate::app::{Api, App, FlowId};
use crate::{Event, Object, Value};

/// The routers of an application's APIs, by name.
pub(super) type ApiRouters = HashMap<Arc<str>, FlowRouter>;

/// Makes the routers of an application.
pub(super) fn routers(app: &App) -> ApiRouters {
    let router = |api: &Arc<Api>| {
        let paths = api.resources.iter().enumerate().map(|(index, resource)| {
            let methods = std::slice::from_ref(&resource.method);
            (resource.path.as_str(), Some(methods), index)
        });
        let router = FlowRouter::new(paths).unwrap_or_else(|error| {
            tracing::error!(api = %api.name, error, "an API without routes");
            FlowRouter::default()
        });
        (api.name.clone(), router)
    };
    app.apis.iter().map(router).collect()
}

/// A flow with the values of the names in its path.
type Routed = (FlowId, Vec<(String, String)>);

impl Run {
    /// Runs the flow of a request.
    pub async fn route_api(&self, at: At<'_>, api: &Api, event: Event) -> Ended {
        let (flow, params) = attempt!(at, event, self.routed(api, &event));
        let event = Event {
            attributes: with_params(&event.attributes, params),
            ..event
        };
        self.flow(at, self.engine.app.flow(flow), event).await
    }

    fn routed(&self, api: &Api, event: &Event) -> Done<Routed> {
        let error = |kind: &str, what: String| Err(MuleError::new(kind, what).into());
        let request = match &event.attributes {
            Value::Object(attributes) => request(attributes),
            _ => None,
        };
        let Some((method, path)) = request else {
            let what = "the router needs the attributes of a request";
            return error("APIKIT:BAD_REQUEST", what.to_owned());
        };
        let router = self.engine.apis.get(&api.name);
        let found = router.map(|router| router.find(&method, &path));
        let (resource, params) = match found.unwrap_or(RouteMatch::Nothing) {
            RouteMatch::Flow { route, params } => (&api.resources[route], params),
            RouteMatch::WrongMethod(_) => {
                let what = format!("{method} is not a method of {path}");
                return error("APIKIT:METHOD_NOT_ALLOWED", what);
            }
            RouteMatch::Nothing => {
                return error("APIKIT:NOT_FOUND", format!("unknown resource {path}"));
            }
        };
        let media_type = media_type(&event.attributes);
        match resource.flow(media_type.as_deref()) {
            Some(flow) => Ok((flow, params)),
            None => {
                let sent = media_type.as_deref().unwrap_or("no media type");
                let what = format!("{method} {path} does not take {sent}");
                error("APIKIT:UNSUPPORTED_MEDIA_TYPE", what)
            }
        }
    }
}

/// The method of a request, and its path below that of the listener, as the client wrote it.
fn request(attributes: &Object) -> Option<(Method, String)> {
    let text = |name: &str| match attributes.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let method = Method::from_bytes(text("method")?.as_bytes()).ok()?;
    let path = text("rawRequestPath").or_else(|| text("requestPath"))?;
    let listener = text("listenerPath").unwrap_or_else(|| "/*".into());
    let above = listener.strip_suffix("/*").unwrap_or(&listener);
    let above = above.trim_end_matches('/').matches('/').count();
    let below: Vec<&str> = path.split('/').skip(above + 1).collect();
    Some((method, format!("/{}", below.join("/"))))
}

/// The media type of a request, without parameters.
fn media_type(attributes: &Value) -> Option<String> {
    let Value::Object(attributes) = attributes else {
        return None;
    };
    let Some(Value::Object(headers)) = attributes.get("headers") else {
        return None;
    };
    let Some(Value::String(said)) = headers.get("content-type") else {
        return None;
    };
    let essence = said.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// Attributes with more `uriParams`.
fn with_params(attributes: &Value, params: Vec<(String, String)>) -> Value {
    let Value::Object(attributes) = attributes else {
        return attributes.clone();
    };
    let entries = attributes.named().into_iter().map(|(name, value)| {
        if &*name != "uriParams" {
            return (name, value);
        }
        let mut all = match value {
            Value::Object(known) => known.named(),
            _ => Vec::new(),
        };
        all.retain(|(known, _)| !params.iter().any(|(name, _)| **name == **known));
        let more = params.iter();
        all.extend(more.map(|(name, value)| (name.as_str().into(), value.as_str().into())));
        (name, Value::object(all))
    });
    Value::object(entries.collect())
}
