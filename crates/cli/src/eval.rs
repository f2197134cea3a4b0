//! `fusebox eval`: evaluates one expression over a scope.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::args::{Dialect, EvalArgs};
use crate::bounded;

/// The largest file of variables, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// Prints the expression's value as JSON.
pub fn eval(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let scope = match &args.scope {
        Some(path) => read_scope(path)?,
        None => Value::Object(serde_json::Map::new()),
    };
    let value = match args.dialect {
        Dialect::Native => fusebox_plan::eval_native(&args.expression, &scope)?.to_string(),
        #[cfg(feature = "flogo")]
        Dialect::Flogo => eval_flogo(&args.expression, &scope)?,
        #[cfg(feature = "mule")]
        Dialect::Mule => eval_mule(&args.expression, &scope)?,
    };
    crate::print(&format!("{value}\n"))
}

/// Evaluates an expression, with the value as Flogo would write it into an answer.
#[cfg(feature = "flogo")]
fn eval_flogo(text: &str, scope: &Value) -> anyhow::Result<String> {
    use fusebox_flogo::{Expression, Names, read_scope};

    let names = Names {
        env: std::env::vars()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        ..Names::default()
    };
    let expression = Expression::compile(text, &names).map_err(|error| {
        // A caret marks the character if the text up to it is on one line.
        let before = text.get(..error.at).filter(|before| !before.contains('\n'));
        match before {
            Some(before) if !text.contains('\n') => {
                let indent = " ".repeat(before.chars().count());
                anyhow::anyhow!("{error}\n  {text}\n  {indent}^")
            }
            _ => anyhow::anyhow!("{error} (at byte {})", error.at),
        }
    })?;
    let scope = read_scope(scope)?;
    Ok(expression.eval(&scope)?.to_json_text()?)
}

/// Evaluates an expression to JSON, with the clock and time zone of this machine unless the scope sets others.
#[cfg(feature = "mule")]
fn eval_mule(text: &str, scope: &Value) -> anyhow::Result<String> {
    use fusebox_dataweave::{Random, ScopeFault, eval, jiff};

    let now = jiff::Timestamp::now();
    let zone = jiff::tz::TimeZone::system();
    eval(text, scope, now, zone, &Random::default()).map_err(|fault| match fault {
        // A caret marks the character if the text is on one line.
        ScopeFault::Parse(fault) if !text.contains('\n') => {
            let indent = " ".repeat(fault.col - 1);
            anyhow::anyhow!("{fault}\n  {text}\n  {indent}^")
        }
        ScopeFault::Parse(fault) => {
            anyhow::anyhow!("line {}, column {}: {fault}", fault.line, fault.col)
        }
        fault => anyhow::anyhow!("{fault}"),
    })
}

fn read_scope(path: &Path) -> anyhow::Result<Value> {
    let text = bounded::text_or_stdin(path, BYTES_MAX)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let scope =
        serde_json::from_str(&text).with_context(|| format!("{}: invalid JSON", path.display()))?;
    match scope {
        Value::Object(_) => Ok(scope),
        _ => bail!(
            "{}: expected a JSON object, whose members are the variables",
            path.display()
        ),
    }
}
