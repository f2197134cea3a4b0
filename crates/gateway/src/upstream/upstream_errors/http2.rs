//! Names of the ends of an HTTP/2 stream, by the code of a reset or of a GOAWAY (RFC 9113, section 7).

use std::error::Error;

use h2::Reason;

use super::{ErrorKind, UpstreamError};

/// The place within an answer at which its stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the end of its head.
    Head,
    /// Within its body.
    Body,
}

impl Place {
    /// The kind of an end without a fault in the protocol.
    const fn kind(self) -> ErrorKind {
        match self {
            Place::Head => ErrorKind::Reset,
            Place::Body => ErrorKind::Truncated,
        }
    }
}

/// The error of HTTP/2 within another one.
pub fn error_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a h2::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// True if the upstream says that it has not processed the request: it refused the stream, or a GOAWAY names a lower one
/// as its last (RFC 9113, sections 8.7 and 6.8). h2 gives a GOAWAY's error to no other stream.
pub fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    error_in(error).is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
    })
}

/// True if the upstream ended the stream alone.
pub fn is_stream_reset(error: &(dyn Error + 'static)) -> bool {
    error_in(error).is_some_and(|error| error.is_remote() && error.is_reset())
}

/// The name of an end; `None`: the connection beneath ended, and its own error names it.
pub fn name(error: &h2::Error, place: Place) -> Option<UpstreamError> {
    let reason = error.reason()?;
    if error.is_library() && is_far_over_limit(error) {
        return Some(UpstreamError::head_over_limit());
    }
    if error.is_library() {
        let error = UpstreamError::new(ErrorKind::Protocol, "HTTP/2 violated");
        return Some(error.with(code(reason)));
    }
    let (kind, word) = match (reason, place) {
        (Reason::ENHANCE_YOUR_CALM, _) => (ErrorKind::Protocol, "asked to calm down"),
        (Reason::HTTP_1_1_REQUIRED, _) => {
            let error = UpstreamError::new(ErrorKind::Protocol, "HTTP/1.1 required");
            return Some(error.with("write `http: 1` for this upstream"));
        }
        (
            Reason::PROTOCOL_ERROR
            | Reason::FLOW_CONTROL_ERROR
            | Reason::SETTINGS_TIMEOUT
            | Reason::STREAM_CLOSED
            | Reason::FRAME_SIZE_ERROR
            | Reason::COMPRESSION_ERROR
            | Reason::INADEQUATE_SECURITY,
            _,
        ) => (ErrorKind::Protocol, "accused of breaking HTTP/2"),
        (Reason::REFUSED_STREAM, Place::Head) => (place.kind(), "stream refused"),
        (_, Place::Head) if error.is_go_away() => (place.kind(), "connection going away"),
        (_, Place::Head) => (place.kind(), "stream reset"),
        (_, Place::Body) => (place.kind(), "stream reset within the body"),
    };
    Some(UpstreamError::new(kind, word).with(code(reason)))
}

/// True if h2 ended the connection over a head that is far larger than ours may be; a test of the gateway pins its texts.
fn is_far_over_limit(error: &h2::Error) -> bool {
    let text = error.to_string();
    let texts = ["header_list_way_too_large", "too_many_continuations"];
    error.reason() == Some(Reason::COMPRESSION_ERROR) || texts.iter().any(|it| text.contains(it))
}

/// The name of a code, as the RFC writes it.
fn code(reason: Reason) -> String {
    let name = format!("{reason:?}");
    // The names of codes that the RFC does not have are numbers.
    match name.starts_with("Reason(") {
        true => format!("code {}", u32::from(reason)),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_a_reset_have_kinds() {
        for (reason, head, body) in [
            (Reason::CANCEL, ErrorKind::Reset, ErrorKind::Truncated),
            (
                Reason::INTERNAL_ERROR,
                ErrorKind::Reset,
                ErrorKind::Truncated,
            ),
            (Reason::NO_ERROR, ErrorKind::Reset, ErrorKind::Truncated),
            (Reason::from(0xbeef), ErrorKind::Reset, ErrorKind::Truncated),
            (
                Reason::REFUSED_STREAM,
                ErrorKind::Reset,
                ErrorKind::Truncated,
            ),
            (
                Reason::ENHANCE_YOUR_CALM,
                ErrorKind::Protocol,
                ErrorKind::Protocol,
            ),
            (
                Reason::PROTOCOL_ERROR,
                ErrorKind::Protocol,
                ErrorKind::Protocol,
            ),
            (
                Reason::HTTP_1_1_REQUIRED,
                ErrorKind::Protocol,
                ErrorKind::Protocol,
            ),
        ] {
            let error = h2::Error::from(reason);
            let kind = |place| name(&error, place).unwrap().kind;
            assert_eq!(kind(Place::Head), head, "{reason:?}");
            assert_eq!(kind(Place::Body), body, "{reason:?}");
        }
        assert_eq!(code(Reason::CANCEL), "CANCEL");
        assert_eq!(code(Reason::from(0xbeef)), "code 48879");
    }

    #[test]
    fn only_what_the_upstream_says_is_unprocessed() {
        // An error that no peer sent.
        assert!(!is_unprocessed(&h2::Error::from(Reason::REFUSED_STREAM)));
    }
}
