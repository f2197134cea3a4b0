//! Error types and their hierarchy.

use std::fmt;
use std::sync::Arc;

/// The type of an error, `NAMESPACE:IDENTIFIER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorType {
    /// `MULE`, `HTTP`, `OS`, or an application's own; in capitals.
    pub namespace: Arc<str>,
    /// The name within the namespace; in capitals.
    pub identifier: Arc<str>,
}

/// The types whose parent is not `MULE:ANY`, each with its parent.
///
/// Source: [the error hierarchy](https://docs.mulesoft.com/mule-runtime/latest/mule-error-concept), and
/// that of the [HTTP connector](https://docs.mulesoft.com/http-connector/latest/http-documentation).
const PARENTS: &[(&str, &str)] = &[
    ("MULE:DUPLICATE_MESSAGE", "MULE:VALIDATION"),
    ("MULE:RETRY_EXHAUSTED", "MULE:CONNECTIVITY"),
    ("MULE:COMPOSITE_ROUTING", "MULE:ROUTING"),
    ("MULE:CLIENT_SECURITY", "MULE:SECURITY"),
    ("MULE:SERVER_SECURITY", "MULE:SECURITY"),
    ("MULE:NOT_PERMITTED", "MULE:SERVER_SECURITY"),
    ("MULE:OVERLOAD", "MULE:CRITICAL"),
    ("MULE:FLOW_BACK_PRESSURE", "MULE:OVERLOAD"),
    ("MULE:FATAL_JVM_ERROR", "MULE:CRITICAL"),
    ("HTTP:CONNECTIVITY", "MULE:CONNECTIVITY"),
    ("HTTP:CLIENT_SECURITY", "MULE:CLIENT_SECURITY"),
    ("HTTP:UNAUTHORIZED", "HTTP:CLIENT_SECURITY"),
    ("HTTP:FORBIDDEN", "HTTP:CLIENT_SECURITY"),
    ("HTTP:SECURITY", "MULE:SECURITY"),
    ("HTTP:TRANSFORMATION", "MULE:TRANSFORMATION"),
    ("HTTP:RETRY_EXHAUSTED", "MULE:RETRY_EXHAUSTED"),
    ("VALIDATION:VALIDATION", "MULE:VALIDATION"),
    ("VALIDATION:NULL", "VALIDATION:VALIDATION"),
    ("VALIDATION:NOT_NULL", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_SIZE", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_BOOLEAN", "VALIDATION:VALIDATION"),
    ("VALIDATION:MISMATCH", "VALIDATION:VALIDATION"),
    ("VALIDATION:BLANK_STRING", "VALIDATION:VALIDATION"),
    ("VALIDATION:NOT_BLANK_STRING", "VALIDATION:VALIDATION"),
    ("VALIDATION:EMPTY_COLLECTION", "VALIDATION:VALIDATION"),
    ("VALIDATION:NOT_EMPTY_COLLECTION", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_EMAIL", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_URL", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_IP", "VALIDATION:VALIDATION"),
    ("VALIDATION:REJECTED_IP", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_NUMBER", "VALIDATION:VALIDATION"),
    ("VALIDATION:INVALID_TIME", "VALIDATION:VALIDATION"),
    ("VALIDATION:ELAPSED_TIME", "VALIDATION:VALIDATION"),
    ("VALIDATION:NOT_ELAPSED_TIME", "VALIDATION:VALIDATION"),
    ("VALIDATION:MULTIPLE", "VALIDATION:VALIDATION"),
];

/// The types that are direct children of `MULE:ANY`.
const ROOTS: &[&str] = &[
    "MULE:ANY",
    "MULE:CRITICAL",
    "MULE:TRANSFORMATION",
    "MULE:EXPRESSION",
    "MULE:VALIDATION",
    "MULE:REDELIVERY_EXHAUSTED",
    "MULE:CONNECTIVITY",
    "MULE:ROUTING",
    "MULE:SECURITY",
    "MULE:STREAM_MAXIMUM_SIZE_EXCEEDED",
    "MULE:TIMEOUT",
    "MULE:UNKNOWN",
    "MULE:SOURCE",
    "MULE:SOURCE_RESPONSE",
    "MULE:SOURCE_RESPONSE_GENERATE",
    "MULE:SOURCE_RESPONSE_SEND",
    "MULE:SOURCE_ERROR_RESPONSE_GENERATE",
    "MULE:SOURCE_ERROR_RESPONSE_SEND",
    "HTTP:TIMEOUT",
    "HTTP:PARSING",
    "HTTP:BASIC_AUTHENTICATION",
    "OS:NULL_VALUE",
    "OS:INVALID_KEY",
    "OS:KEY_ALREADY_EXISTS",
    "OS:KEY_NOT_FOUND",
    "OS:STORE_NOT_AVAILABLE",
    "VM:CONNECTIVITY",
    "VM:RETRY_EXHAUSTED",
    "VM:QUEUE_TIMEOUT",
    "VM:EMPTY_QUEUE",
    "VM:PUBLISH_CONSUMER_FLOW_ERROR",
    "APIKIT:BAD_REQUEST",
    "APIKIT:NOT_FOUND",
    "APIKIT:METHOD_NOT_ALLOWED",
    "APIKIT:NOT_ACCEPTABLE",
    "APIKIT:UNSUPPORTED_MEDIA_TYPE",
    "APIKIT:NOT_IMPLEMENTED",
    "SCRIPTING:EXECUTION",
    "SCRIPTING:COMPILATION",
    "SCRIPTING:UNKNOWN_ENGINE",
];

/// The types of the HTTP connector's errors, by the response's status.
const OF_STATUS: &[(u16, &str)] = &[
    (300, "HTTP:MULTIPLE_CHOICES"),
    (301, "HTTP:MOVED_PERMANENTLY"),
    (302, "HTTP:MOVED_TEMPORARILY"),
    (303, "HTTP:SEE_OTHER"),
    (304, "HTTP:NOT_MODIFIED"),
    (400, "HTTP:BAD_REQUEST"),
    (401, "HTTP:UNAUTHORIZED"),
    (403, "HTTP:FORBIDDEN"),
    (404, "HTTP:NOT_FOUND"),
    (405, "HTTP:METHOD_NOT_ALLOWED"),
    (406, "HTTP:NOT_ACCEPTABLE"),
    (415, "HTTP:UNSUPPORTED_MEDIA_TYPE"),
    (429, "HTTP:TOO_MANY_REQUESTS"),
    (500, "HTTP:INTERNAL_SERVER_ERROR"),
    (502, "HTTP:BAD_GATEWAY"),
    (503, "HTTP:SERVICE_UNAVAILABLE"),
    (504, "HTTP:GATEWAY_TIMEOUT"),
];

impl ErrorType {
    /// The type of the error that a response's status is, if it has one of its own.
    pub fn of_status(status: u16) -> Option<ErrorType> {
        let found = OF_STATUS.iter().find(|(of, _)| *of == status);
        found.map(|(_, name)| ErrorType::parse(name))
    }

    /// All types that Mule's core and the supported modules raise.
    pub fn known() -> impl Iterator<Item = &'static str> {
        let children = PARENTS.iter().map(|(child, _)| *child);
        let of_status = OF_STATUS.iter().map(|(_, name)| *name);
        ROOTS.iter().copied().chain(of_status).chain(children)
    }

    /// True if the type is one of [`known`](ErrorType::known).
    pub fn is_known(&self) -> bool {
        let name = self.to_string();
        ErrorType::known().any(|known| known == name)
    }

    /// True for `MULE:UNKNOWN`, the type of errors that have none.
    pub fn is_unknown(&self) -> bool {
        &*self.namespace == "MULE" && &*self.identifier == "UNKNOWN"
    }

    /// Makes a type; letters become capitals.
    pub fn new(namespace: &str, identifier: &str) -> ErrorType {
        ErrorType {
            namespace: namespace.to_ascii_uppercase().into(),
            identifier: identifier.to_ascii_uppercase().into(),
        }
    }

    /// Reads `NAMESPACE:IDENTIFIER`, or `IDENTIFIER` of the namespace `MULE`.
    pub fn parse(text: &str) -> ErrorType {
        let text = text.trim();
        match text.split_once(':') {
            Some((namespace, identifier)) => ErrorType::new(namespace.trim(), identifier.trim()),
            None => ErrorType::new("MULE", text),
        }
    }

    /// The parent type. `MULE:ANY` and `MULE:CRITICAL` have no parent; the parent of an unknown type is `MULE:ANY`.
    pub fn parent(&self) -> Option<ErrorType> {
        let name = self.to_string();
        if name == "MULE:ANY" || name == "MULE:CRITICAL" {
            return None;
        }
        let parent = PARENTS.iter().find(|(child, _)| *child == name);
        let parent = parent.map_or("MULE:ANY", |(_, parent)| parent);
        Some(ErrorType::parse(parent))
    }

    /// True if the type is `other` or one of its descendants.
    pub fn is_a(&self, other: &ErrorType) -> bool {
        let mut at = Some(self.clone());
        while let Some(this) = at {
            if this == *other {
                return true;
            }
            at = this.parent();
        }
        false
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.identifier)
    }
}

/// A pattern of error types, for a handler or a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorMatch {
    /// A type with all its descendants.
    Type(ErrorType),
    /// `NS:*`: every type of a namespace.
    Namespace(Arc<str>),
    /// `*:ID`: an identifier in any namespace.
    Identifier(Arc<str>),
}

impl ErrorMatch {
    /// Reads `NS:ID`, `ID`, `NS:*`, `*:ID`; letters become capitals.
    pub fn parse(text: &str) -> ErrorMatch {
        let kind = ErrorType::parse(text);
        match (&*kind.namespace, &*kind.identifier) {
            ("*", "*") => ErrorMatch::Type(ErrorType::new("MULE", "ANY")),
            (_, "*") => ErrorMatch::Namespace(kind.namespace),
            ("*", _) => ErrorMatch::Identifier(kind.identifier),
            _ => ErrorMatch::Type(kind),
        }
    }

    /// True if the pattern matches a type. No name matches `MULE:UNKNOWN`, the type of errors that have none; a
    /// handler for `ANY` matches it.
    pub fn matches(&self, error: &ErrorType) -> bool {
        match self {
            ErrorMatch::Type(kind) => !kind.is_unknown() && error.is_a(kind),
            ErrorMatch::Namespace(namespace) => error.namespace == *namespace,
            ErrorMatch::Identifier(identifier) => error.identifier == *identifier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(matcher: &str, error: &str) -> bool {
        ErrorMatch::parse(matcher).matches(&ErrorType::parse(error))
    }

    #[test]
    fn a_handler_of_a_type_takes_its_kinds() {
        assert!(matches("CONNECTIVITY", "HTTP:CONNECTIVITY"));
        assert!(matches("MULE:CONNECTIVITY", "MULE:RETRY_EXHAUSTED"));
        assert!(matches("http:bad_request", "HTTP:BAD_REQUEST"));
        assert!(matches("ANY", "APP:WHATEVER"));
        assert!(matches("SECURITY", "HTTP:UNAUTHORIZED"));
        assert!(matches("HTTP:*", "HTTP:TIMEOUT"));
        assert!(matches("*:TIMEOUT", "HTTP:TIMEOUT"));
    }

    #[test]
    fn an_error_without_a_type_is_nobodys_by_its_name() {
        assert!(matches("ANY", "MULE:UNKNOWN"));
        assert!(!matches("UNKNOWN", "MULE:UNKNOWN"));
        assert!(!matches("MULE:UNKNOWN", "MULE:UNKNOWN"));
    }

    #[test]
    fn a_timeout_of_http_is_not_one_of_mule() {
        assert!(!matches("TIMEOUT", "HTTP:TIMEOUT"));
        assert!(!matches("CONNECTIVITY", "HTTP:TIMEOUT"));
        assert!(!matches("ANY", "MULE:FLOW_BACK_PRESSURE"));
    }
}
