//! What an attribute or an element's text gives.

use std::sync::Arc;

use fusebox_dataweave::symbol::{Symbol, View};
use fusebox_dataweave::{Context, EvalFault, Script, Template, Typed};

/// What an attribute or an element's text gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A text as it stands, of media type `*/*`.
    Literal(Arc<str>),
    /// What an expression gives, with its type.
    Expression(Script),
    /// A text with expressions in it.
    Template(Template),
    /// Nothing: it cannot be evaluated, and fails with this when it should be.
    Broken(Arc<str>),
}

impl Given {
    /// What it gives for an event.
    ///
    /// # Errors
    /// `MULE:EXPRESSION`.
    pub fn eval(&self, context: &Context<'_>) -> Result<Typed, EvalFault> {
        match self {
            Given::Literal(text) => Ok(Typed::literal(text.clone())),
            Given::Expression(script) => script.eval(context),
            Given::Template(template) => Ok(Typed::literal(template.eval(context)?)),
            Given::Broken(why) => Err(EvalFault::new(&**why)),
        }
    }

    /// What it gives, as far as that is known.
    pub(crate) fn symbol(&self, view: &View<'_>) -> Symbol {
        match self {
            Given::Literal(text) => Symbol::text(text.clone()),
            Given::Expression(script) => script.symbol(view),
            Given::Template(template) => template.symbol(view),
            Given::Broken(_) => Symbol::Unknown,
        }
    }

    /// The text, if it is one as it stands.
    pub fn literal(&self) -> Option<&Arc<str>> {
        match self {
            Given::Literal(text) => Some(text),
            _ => None,
        }
    }
}
