//! The value of an attribute or of an element's text.

use std::sync::Arc;

use fusebox_dataweave::symbol::{Symbol, View};
use fusebox_dataweave::{Context, EvalFault, Script, Template, Typed};

/// The value of an attribute or of an element's text, before evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A literal text, of media type `*/*`.
    Literal(Arc<str>),
    /// A single expression; its result carries the type.
    Expression(Script),
    /// A text with expressions in it.
    Template(Template),
    /// A value with a syntax error, which is the text; evaluation fails with it.
    Broken(Arc<str>),
}

impl Given {
    /// Evaluates the value for an event.
    ///
    /// # Errors
    /// `MULE:EXPRESSION` if the expression fails.
    pub fn eval(&self, context: &Context<'_>) -> Result<Typed, EvalFault> {
        match self {
            Given::Literal(text) => Ok(Typed::literal(text.clone())),
            Given::Expression(script) => script.eval(context),
            Given::Template(template) => Ok(Typed::literal(template.eval(context)?)),
            Given::Broken(why) => Err(EvalFault::new(&**why)),
        }
    }

    /// The result as far as it is known without an event.
    pub(crate) fn symbol(&self, view: &View<'_>) -> Symbol {
        match self {
            Given::Literal(text) => Symbol::text(text.clone()),
            Given::Expression(script) => script.symbol(view),
            Given::Template(template) => template.symbol(view),
            Given::Broken(_) => Symbol::Unknown,
        }
    }

    /// The text, if the value is a literal.
    pub fn literal(&self) -> Option<&Arc<str>> {
        match self {
            Given::Literal(text) => Some(text),
            _ => None,
        }
    }
}
