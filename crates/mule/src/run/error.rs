//! Errors: what one says, and how an expression sees it.

use std::sync::Arc;

use super::engine::At;
use crate::app::{ErrorMatch, ErrorType, Site};
use crate::{EvalFault, Event, Form, Object, Typed, Value};

/// How a run ended: with the event that came out, or with an error.
pub type Ended = Result<Event, Box<Failure>>;

/// An error on its way; most ways have none.
pub(super) type Fault = Box<MuleError>;

/// An error that no handler continued after.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error.
    pub error: Arc<MuleError>,
    /// The event as the last handler, or the failing processor, left it. Its `error` is that of the
    /// handler around the failing scope, if there is one, and not this one.
    pub event: Event,
    /// Whether a handler has logged it.
    pub logged: bool,
}

/// An error. ([Mule errors](https://docs.mulesoft.com/mule-runtime/latest/mule-error-concept))
#[derive(Debug, Clone)]
pub struct MuleError {
    /// Its type.
    pub kind: ErrorType,
    /// What went wrong.
    pub description: Arc<str>,
    /// The message that tells more: of a rejected response, that.
    pub message: Option<Message>,
    /// The errors of the routes of which it is made.
    pub children: Vec<Arc<MuleError>>,
    /// The error that it stands for; a handler for that one's type takes this one as well.
    pub wrapped: Option<Arc<MuleError>>,
    /// The processor that failed, once it is known.
    pub site: Option<Site>,
}

impl Failure {
    /// An error that comes up somewhere.
    pub(super) fn at(at: At<'_>, mut error: Fault, event: Event) -> Box<Failure> {
        error.site.get_or_insert_with(|| at.site.clone());
        Box::new(Failure {
            error: Arc::from(error),
            event,
            logged: false,
        })
    }
}

/// A payload with its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The payload.
    pub payload: Typed,
    /// The attributes.
    pub attributes: Value,
}

impl Message {
    /// The message of an event.
    pub fn of(event: &Event) -> Message {
        Message {
            payload: event.payload.clone(),
            attributes: event.attributes.clone(),
        }
    }

    /// As an expression sees it within a value.
    pub fn value(&self) -> Value {
        let message = Object::message(self.payload.clone(), self.attributes.clone());
        Value::Object(Arc::new(message))
    }
}

/// An object of a few keys.
pub fn record<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter();
    Value::object(entries.map(|(key, value)| (key.into(), value)).collect())
}

impl MuleError {
    /// An error of a type, `NAMESPACE:IDENTIFIER`.
    pub fn new(kind: &str, description: impl Into<Arc<str>>) -> MuleError {
        MuleError::of(ErrorType::parse(kind), description)
    }

    /// An error of a type.
    pub fn of(kind: ErrorType, description: impl Into<Arc<str>>) -> MuleError {
        MuleError {
            kind,
            description: description.into(),
            message: None,
            children: Vec::new(),
            wrapped: None,
            site: None,
        }
    }

    /// Whether no handler may take it.
    pub fn is_critical(&self) -> bool {
        self.kind.is_a(&ErrorType::new("MULE", "CRITICAL"))
    }

    /// Whether a handler of a type is for it, or else for one that it stands for.
    pub fn is_meant_by(&self, wanted: &ErrorMatch) -> bool {
        wanted.takes(&self.kind)
            || (self.wrapped.as_ref()).is_some_and(|wrapped| wrapped.is_meant_by(wanted))
    }

    /// As an expression sees it: `error`.
    pub fn value(&self) -> Value {
        let description = || Value::String(self.description.clone());
        let message = self.message.as_ref().map_or(Value::Null, Message::value);
        let children = self.children.iter().map(|child| child.value());
        let cause = match &self.wrapped {
            Some(wrapped) => wrapped.value(),
            None => record([("message", description())]),
        };
        record([
            ("description", description()),
            ("detailedDescription", description()),
            ("errorType", type_value(&self.kind)),
            ("errorMessage", message),
            ("childErrors", Value::array(children.collect())),
            ("cause", cause),
            (
                "failingComponent",
                self.site.as_ref().map_or(Value::Null, |site| {
                    format!("{}:{}", site.file, site.line).into()
                }),
            ),
        ])
    }
}

/// A type of error, whose text is `NAMESPACE:IDENTIFIER`, with its parents.
fn type_value(kind: &ErrorType) -> Value {
    let text = |text: &Arc<str>| Value::String(text.clone());
    let parent = kind.parent();
    let entries = vec![
        ("namespace".into(), text(&kind.namespace)),
        ("identifier".into(), text(&kind.identifier)),
        (
            "parentErrorType".into(),
            parent.map_or(Value::Null, |parent| type_value(&parent)),
        ),
    ];
    Value::Object(Arc::new(Object::new(entries, Form::ErrorType)))
}

/// A failed evaluation is an error of the type that it says.
impl From<EvalFault> for Box<MuleError> {
    fn from(fault: EvalFault) -> Box<MuleError> {
        MuleError::new(fault.kind, fault.description).into()
    }
}
