//! `fusebox eval`: one expression over a scope.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::args::{Dialect, EvalArgs};

/// Prints the expression's value as JSON.
///
/// # Errors
/// If the scope cannot be read or the expression cannot be evaluated.
pub fn eval(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    if args.dialect != Dialect::Native {
        bail!("of the dialects only `native` is supported yet");
    }
    let scope = match &args.scope {
        Some(path) => read_scope(path)?,
        None => Value::Object(serde_json::Map::new()),
    };
    let value = fusebox_plan::eval_native(&args.expression, &scope)?;
    crate::print(&format!("{value}\n"))
}

fn read_scope(path: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the scope from standard input")?;
    } else {
        text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
    }
    let scope =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    match scope {
        Value::Object(_) => Ok(scope),
        _ => bail!(
            "{} must be a JSON object: its members are the variables",
            path.display()
        ),
    }
}
