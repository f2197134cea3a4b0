//! The configuration behind a running gateway: where it came from, and reading it again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Json, Response};
use fusebox_plan::Diagnostic;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::problem_kind::Kind;

/// The configuration as the program that runs the gateway knows it.
pub trait Config: Send + Sync {
    /// The configuration that runs.
    fn loaded(&self) -> Loaded;

    /// The kind of the store: `memory`, `embedded` or `valkey`.
    fn store_kind(&self) -> &'static str;

    /// Reads the files again and runs what they say. It may block. Returns the names of what changed.
    ///
    /// # Errors
    /// If the old configuration stays in use.
    fn reload(&self) -> Result<Vec<String>, ReloadError>;
}

/// The configuration that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The files, as they were named; several are separated by `, `.
    pub file: String,
    /// The SHA-256 of their content in hexadecimal digits, in the order of their names.
    pub hash: String,
}

/// The reason why a configuration was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadError {
    /// The files have errors.
    Refused(Vec<Diagnostic>),
    /// The files cannot be read, or something that the plan needs is not available; a sentence.
    Failed(String),
}

/// Answers `POST /api/v1/reload`.
pub async fn reload(State(config): State<Arc<dyn Config>>) -> Response {
    let done = tokio::task::spawn_blocking(move || config.reload()).await;
    match done {
        Ok(Ok(changed)) => Json(json!({ "result": "ok", "changed": changed })).into_response(),
        Ok(Err(ReloadError::Refused(diagnostics))) => {
            let errors = diagnostics.iter().map(diagnostic).collect();
            let what = "the configuration has errors; the old one stays in use";
            Problem::new(Kind::ConfigurationRefused, what)
                .with("result", json!("refused"))
                .with("diagnostics", errors)
                .into_response()
        }
        Ok(Err(ReloadError::Failed(why))) => Problem::new(
            Kind::ConfigurationFailed,
            format!("the configuration cannot be used, so the old one stays: {why}"),
        )
        .with("result", json!("failed"))
        .with("diagnostics", json!([]))
        .into_response(),
        Err(_) => Problem::internal("the configuration could not be read").into_response(),
    }
}

/// The JSON of a diagnostic.
pub fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let Diagnostic {
        file,
        line,
        col,
        severity,
        what,
        mend,
        ..
    } = diagnostic;
    json!({
        "file": file,
        "line": line,
        "column": col,
        "severity": severity.to_string(),
        "message": format!("{what}; {mend}"),
    })
}
