//! Errors of flows, and their form in expressions.

use std::sync::Arc;

use super::engine::At;
use crate::app::{ErrorMatch, ErrorType, Site};
use crate::{EvalFault, Event, Form, Object, Typed, Value};

/// The result of a run: the resulting event, or an error.
pub type Ended = Result<Event, Box<Failure>>;

/// An error before it meets a handler; boxed since most results are not errors.
pub(super) type Fault = Box<MuleError>;

/// The result of a step.
pub(super) type Done<T = ()> = Result<T, Fault>;

/// An error that no handler has ended.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error itself.
    pub error: Arc<MuleError>,
    /// The event as the failing processor or the last handler left it. Its `error` is that of the handler around
    /// the failing scope, if any, and not this one.
    pub event: Event,
    /// True if a handler has logged the error.
    pub logged: bool,
}

/// An error. ([Mule errors](https://docs.mulesoft.com/mule-runtime/latest/mule-error-concept))
#[derive(Debug, Clone)]
pub struct MuleError {
    /// The error's type.
    pub kind: ErrorType,
    /// A sentence for the reader.
    pub description: Arc<str>,
    /// The message with details: for a rejected response, the response.
    pub message: Option<Message>,
    /// The errors of the routes that failed.
    pub children: Vec<Arc<MuleError>>,
    /// The underlying error; a handler for its type accepts this error as well.
    pub wrapped: Option<Arc<MuleError>>,
    /// The position of the failing processor, once it is known.
    pub site: Option<Site>,
}

impl Failure {
    /// Makes a failure of an error at a position.
    pub(super) fn at(at: At<'_>, mut error: Fault, event: Event) -> Box<Failure> {
        error.site.get_or_insert_with(|| at.site.clone());
        Box::new(Failure {
            error: Arc::from(error),
            event,
            logged: false,
        })
    }
}

/// A payload with attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The message's payload.
    pub payload: Typed,
    /// The message's attributes.
    pub attributes: Value,
}

impl Message {
    /// Copies the message of an event.
    pub fn of(event: &Event) -> Message {
        Message {
            payload: event.payload.clone(),
            attributes: event.attributes.clone(),
        }
    }

    /// The message as an expression sees it inside a value.
    pub fn value(&self) -> Value {
        let message = Object::message(self.payload.clone(), self.attributes.clone());
        Value::Object(Arc::new(message))
    }
}

impl MuleError {
    /// Makes an error from the text of its type, `NAMESPACE:IDENTIFIER`.
    pub fn new(kind: &str, description: impl Into<Arc<str>>) -> MuleError {
        MuleError::of(ErrorType::parse(kind), description)
    }

    /// Makes an error of a type.
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

    /// True if no handler may accept the error.
    pub fn is_critical(&self) -> bool {
        self.kind.is_a(&ErrorType::new("MULE", "CRITICAL"))
    }

    /// True if a pattern matches the error or its underlying error.
    pub fn is_matched_by(&self, pattern: &ErrorMatch) -> bool {
        pattern.matches(&self.kind)
            || (self.wrapped.as_ref()).is_some_and(|wrapped| wrapped.is_matched_by(pattern))
    }

    /// The error as an expression sees it: `error`.
    pub fn value(&self) -> Value {
        let description = || Value::String(self.description.clone());
        let message = self.message.as_ref().map_or(Value::Null, Message::value);
        let children = self.children.iter().map(|child| child.value());
        let place = |site: &Site| format!("{}:{}", site.file, site.line).into();
        let place = self.site.as_ref().map_or(Value::Null, place);
        let cause = match &self.wrapped {
            Some(wrapped) => wrapped.value(),
            None => Value::record([("message", description())]),
        };
        Value::record([
            ("description", description()),
            ("detailedDescription", description()),
            ("errorType", type_value(&self.kind)),
            ("errorMessage", message),
            ("childErrors", Value::array(children.collect())),
            ("cause", cause),
            ("failingComponent", place),
        ])
    }
}

/// An error type with its parents as a value whose text is `NAMESPACE:IDENTIFIER`.
fn type_value(kind: &ErrorType) -> Value {
    let text = |text: &Arc<str>| Value::String(text.clone());
    let parent = kind.parent();
    let parent = parent.map_or(Value::Null, |parent| type_value(&parent));
    let entries = vec![
        ("namespace".into(), text(&kind.namespace)),
        ("identifier".into(), text(&kind.identifier)),
        ("parentErrorType".into(), parent),
    ];
    Value::formed(entries, Form::ErrorType)
}

/// Makes an error of a failed evaluation, with the evaluation's type.
impl From<EvalFault> for Box<MuleError> {
    fn from(fault: EvalFault) -> Box<MuleError> {
        MuleError::new(fault.kind, fault.description).into()
    }
}
