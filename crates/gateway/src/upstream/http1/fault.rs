//! The ends of an exchange over HTTP/1 that are no answer, or that cut one.

use std::io;

use crate::message::body::BodyError;

/// The part of a head that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// The status is not three digits from 100 on.
    Status,
    /// A line is no field: a name that is no token, white space before the colon, a folded line, a control character.
    Field,
    /// A length that is not one number.
    ContentLength,
    /// A coding in a version that has none.
    TransferEncoding,
    /// Fields that frame the body in more than one way.
    Ambiguous,
    /// Any other fault of a head.
    Other,
}

impl HeadFault {
    /// The fault's name, such as `malformed status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            HeadFault::Version => "malformed version",
            HeadFault::Status => "malformed status",
            HeadFault::Field => "malformed field",
            HeadFault::ContentLength => "malformed Content-Length",
            HeadFault::TransferEncoding => "malformed Transfer-Encoding",
            HeadFault::Ambiguous => "ambiguous body length",
            HeadFault::Other => "malformed head",
        }
    }
}

/// The end of an exchange without an answer, or within one.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The connection ended before the end of an answer's head.
    #[error("the connection was closed before the answer")]
    NoAnswer,
    /// The head could not be read.
    #[error("{}", .0.as_str())]
    Head(HeadFault),
    /// The head is larger, or has more fields, than it may have.
    #[error("head over our limit")]
    HeadTooLarge,
    /// More interim answers came than any request needs.
    #[error("too many interim answers")]
    TooManyInterim,
    /// The connection ended within the body.
    #[error("the connection was closed within the body")]
    CutBody,
    /// The body's chunks could not be read, for this reason.
    #[error("malformed chunk: {0}")]
    Chunk(&'static str),
    /// The trailers are larger, or more, than a head's fields may be.
    #[error("trailers over our limit")]
    TrailersTooLarge,
    /// The chunks of a body have more extensions than any program needs.
    #[error("chunk extensions over our limit")]
    ExtensionsTooLarge,
    /// The request's body broke off.
    #[error("the request's body broke off: {0}")]
    Upload(BodyError),
    /// The request's body was not as long as its head said.
    #[error("the request's body was not as long as announced")]
    UploadLength,
}
