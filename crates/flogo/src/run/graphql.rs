//! Judges GraphQL requests by the schemas that were read at the start (the microgateway's `graphql` in mode a).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::graphql::Schema;
use crate::{GraphQlActivity, Map, Value};

/// The longest request, in bytes, that is judged on the worker itself. A longer one may take many milliseconds.
const SHORT_MAX: usize = 1024;

/// The schemas of a service, by the names that steps give them.
#[derive(Debug)]
pub struct GraphQl {
    plan: GraphQlActivity,
    /// Each schema, or the error message for every request.
    schemas: BTreeMap<Arc<str>, Result<Arc<Schema>, String>>,
}

impl GraphQl {
    /// The schemas of a plan, ready for requests.
    pub fn new(plan: &GraphQlActivity) -> GraphQl {
        let schemas = plan.schemas.iter().map(|(name, file)| {
            let schema = match file {
                Ok(text) => Schema::parse(text).map(Arc::new).map_err(|fault| {
                    format!("Error while parsing graphql schema: graphql: {fault}")
                }),
                Err(error) => Err(unreadable(name, error)),
            };
            (name.clone(), schema)
        });
        GraphQl {
            schemas: schemas.collect(),
            plan: plan.clone(),
        }
    }

    /// The plan of the service.
    pub fn plan(&self) -> &GraphQlActivity {
        &self.plan
    }

    /// Judges a request and returns the activity's outputs.
    pub async fn outputs(&self, inputs: &Map) -> Map {
        match self.judge(inputs).await {
            Ok(message) => Map::from([
                ("valid".into(), true.into()),
                ("validationMessage".into(), message.as_str().into()),
            ]),
            Err(message) => Map::from([
                ("error".into(), true.into()),
                ("errorMessage".into(), message.as_str().into()),
            ]),
        }
    }

    async fn judge(&self, inputs: &Map) -> Result<String, String> {
        let text = |name: &str| inputs.get(name).map(Value::to_text).unwrap_or_default();
        let file = text("schemaFile");
        if file.is_empty() {
            return Err("Schema file is required".to_owned());
        }
        let schema = match self.schemas.get(&*file) {
            Some(schema) => schema.clone()?,
            None => return Err(unreadable(&file, "it was not read at the start")),
        };
        let request = text("query");
        let length = request.len();
        let depth_max = inputs.get("maxQueryDepth").map(Value::to_int);
        let depth_max = depth_max.and_then(Result::ok).unwrap_or(0);
        let judge = move || {
            let judged = catch_unwind(AssertUnwindSafe(|| schema.judge(&request, depth_max)));
            judged.unwrap_or_else(|_| {
                Err("Not a valid graphQL request. Details: it cannot be checked".to_owned())
            })
        };
        match length {
            0..=SHORT_MAX => judge(),
            _ => match tokio::task::spawn_blocking(judge).await {
                Ok(judged) => judged,
                Err(_) => {
                    Err("Not a valid graphQL request. Details: it was not checked".to_owned())
                }
            },
        }
    }
}

fn unreadable(file: &str, error: &str) -> String {
    format!("Not able to read the schema file[{file}] with the error - {error} \n")
}
