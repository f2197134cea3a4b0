//! The swagger trigger: documents about the REST triggers in Swagger 2.0, made while the application is read.

use std::sync::Arc;

use fusebox_plan::dialect::Place;
use http::Method;
use serde_json::{Map, Value as Json, json};

use crate::flow::{Action, Choice, FlowResponse, Given, Handler};
use crate::read::handler_path::HandlerPath;
use crate::read::triggers::RouteDraft;
use crate::{Data, Value};

/// The path of the document about all triggers; those about one end with its id.
const PATH: &str = "/swagger";

/// The application, as documents describe it.
#[derive(Debug, Default, Clone)]
pub(crate) struct About {
    pub name: String,
    pub version: String,
    pub description: String,
    /// The name of the machine.
    pub host: String,
}

/// A trigger that documents are about.
#[derive(Debug)]
pub(super) struct Documented {
    pub id: Arc<str>,
    pub port: u16,
    pub description: String,
    /// The methods and paths of its handlers; names of parameters stand in braces.
    pub endpoints: Vec<(Method, String)>,
}

/// A path of the REST trigger with its parameters in braces.
pub(super) fn braced(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.strip_prefix([':', '*']) {
            Some(name) => format!("{{{name}}}"),
            None => segment.to_owned(),
        });
    segments.collect::<Vec<_>>().join("/")
}

/// The routes of a swagger trigger: a document about all triggers, and one about each. `name` gives an action its name.
pub(super) fn routes(
    trigger: &Arc<str>,
    at: Place,
    about: &About,
    all: &[Documented],
    mut name: impl FnMut(&str) -> Arc<str>,
) -> Vec<RouteDraft> {
    let is_plain = |id: &str| {
        let mut chars = id.chars();
        chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !matches!(id, "." | "..")
    };
    let own = all.iter().filter(|documented| is_plain(&documented.id));
    let own = own.map(|it| (format!("{PATH}/{}", it.id), std::slice::from_ref(it)));
    let documents = std::iter::once((PATH.to_owned(), all)).chain(own);
    let routes = documents.map(|(path, about_these)| {
        let document = document(about, about_these);
        let action = action(name(&format!("{trigger}{path}")), &document);
        RouteDraft {
            at,
            trigger: trigger.clone(),
            method: Method::GET,
            handler: Arc::new(Handler {
                name: format!("{trigger} GET {path}").into(),
                choices: vec![Choice {
                    when: None,
                    action: Arc::new(action),
                    input: None,
                    output: None,
                }],
            }),
            path: HandlerPath::read(&path).expect("plain names are paths"),
            written: path,
            choices: Vec::new(),
            document: Some(document),
        }
    });
    routes.collect()
}

/// An action that answers with a document.
fn action(name: Arc<str>, document: &Json) -> Action {
    // Go's indentation is twice as deep.
    let lines = format!("{document:#}");
    let lines = lines.lines().map(|line| {
        let blanks = line.len() - line.trim_start().len();
        format!("{}{line}", " ".repeat(blanks))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    Action {
        resource: name.clone(),
        name,
        conf: Value::Null,
        env: Value::Null,
        asynchronous: false,
        services: Vec::new(),
        flow: None,
        steps: Vec::new(),
        responses: vec![FlowResponse {
            when: None,
            code: None,
            data: Some(Data::One(Given::Literal(Value::from(text.as_str())))),
        }],
    }
}

fn document(about: &About, triggers: &[Documented]) -> Json {
    let mut paths = Map::new();
    for trigger in triggers {
        for (method, path) in &trigger.endpoints {
            let methods = paths.entry(path.clone()).or_insert_with(|| json!({}));
            methods[method.as_str().to_ascii_lowercase()] = json!({
                "description": trigger.description,
                "parameters": parameters(path),
                "responses": {
                    "200": { "description": trigger.description },
                    "default": { "description": "error" },
                },
                "tags": [&*trigger.id],
            });
        }
    }
    paths.sort_keys();
    let mut document = Map::new();
    let first = triggers.first().map(|trigger| trigger.port);
    // A document has one address.
    if let Some(port) = first.filter(|port| triggers.iter().all(|it| it.port == *port)) {
        document.insert("host".into(), format!("{}:{port}", about.host).into());
    }
    let info = json!({
        "description": about.description,
        "title": about.name,
        "version": about.version,
    });
    document.insert("info".into(), info);
    document.insert("paths".into(), paths.into());
    document.insert("swagger".into(), "2.0".into());
    document.into()
}

fn parameters(path: &str) -> Vec<Json> {
    let segments = path.split('/');
    let names = segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameters =
        names.map(|name| json!({ "in": "path", "name": name, "required": true, "type": "string" }));
    parameters.collect()
}
