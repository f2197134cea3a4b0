//! Templates: text with expressions in `{{` and `}}`, joined to one text.

use super::eval::Context;
use super::{CompileError, EvalError, Form};
use crate::language::names::Names;
use crate::language::value::Value;

/// A literal or an expression of a template.
pub(crate) enum Piece {
    Text(String),
    Expression(Form),
}

/// Splits a template into pieces. A `{{` without its `}}` is text.
///
/// # Errors
/// Fails if a piece does not compile, or if the text ends right after a `{{`.
pub(crate) fn parse(text: &str, names: &Names) -> Result<Vec<Piece>, CompileError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, opened)) = rest.split_once("{{") {
        let at = text.len() - opened.len();
        let Some((inner, after)) = opened.split_once("}}") else {
            if opened.is_empty() {
                return Err(CompileError {
                    message: format!(
                        "unable to compile expression '{text}': nothing follows the {{{{"
                    ),
                    at: at - 2,
                });
            }
            break;
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let form = Form::of(inner, names).map_err(|error| CompileError {
            at: error.at + at,
            ..error
        })?;
        pieces.push(Piece::Expression(form));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

pub(crate) fn eval(pieces: &[Piece], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Expression(form) => text.push_str(&form.eval(context)?.text()?),
        }
        context.check_text(text.len())?;
    }
    context.read_text(text.len())?;
    Ok(text.into())
}
