//! One error: its kind, its name for a breaker's reason, and its details, read from the libraries' errors.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use fusebox_breaker::Cause;
use fusebox_plan::CallError;

use super::ErrorKind;
use super::http2::{self, Place};
use super::tls;
use crate::message::request_body::ClientFault;

/// The most bytes of a detail, since an upstream chooses the names in its certificate.
const DETAIL_MAX: usize = 400;

/// An error between the gateway and an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError {
    /// The error's kind.
    pub kind: ErrorKind,
    /// The error's name, such as `refused`.
    pub word: &'static str,
    /// Details beyond the name.
    detail: Option<Box<str>>,
}

impl UpstreamError {
    /// An error without details.
    pub const fn new(kind: ErrorKind, word: &'static str) -> UpstreamError {
        UpstreamError {
            kind,
            word,
            detail: None,
        }
    }

    /// The same error with a detail for the log; a long one is cut.
    #[must_use]
    pub fn with(self, detail: impl fmt::Display) -> UpstreamError {
        let mut text = detail.to_string();
        if text.len() > DETAIL_MAX {
            let end = (0..=DETAIL_MAX).rfind(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            text.push('…');
        }
        let detail = Some(text.into());
        UpstreamError { detail, ..self }
    }

    /// No head within the call's time.
    pub const fn no_head() -> UpstreamError {
        UpstreamError::new(ErrorKind::Timeout, "timeout")
    }

    /// No more of the body within the time.
    pub const fn silent_body() -> UpstreamError {
        UpstreamError::new(ErrorKind::Timeout, "silent within the body")
    }

    /// A gRPC call whose client gave it too little time.
    pub const fn late_client() -> UpstreamError {
        UpstreamError::new(ErrorKind::Client, "the client's deadline")
    }

    /// No trailers within the time that its client gave a gRPC call.
    pub const fn no_trailers() -> UpstreamError {
        UpstreamError::new(ErrorKind::Timeout, "deadline within the body")
    }

    /// A head whose fields contradict each other, so that two readers could see two bodies.
    pub const fn ambiguous_head() -> UpstreamError {
        UpstreamError::new(ErrorKind::Protocol, "ambiguous body length")
    }

    /// A head that is larger, or has more fields, than ours may have.
    pub fn head_over_limit() -> UpstreamError {
        let error = UpstreamError::new(ErrorKind::Limit, "head over our limit");
        error.with("see limits.head and limits.fields")
    }

    /// A 101 that was not requested, or to another protocol.
    pub const fn wrong_switch() -> UpstreamError {
        UpstreamError::new(ErrorKind::Protocol, "unasked 101")
    }

    /// More interim answers than any request needs.
    pub const fn too_many_interim() -> UpstreamError {
        UpstreamError::new(ErrorKind::Protocol, "too many interim answers")
    }

    /// The fault of a client with its own request.
    pub const fn client(fault: ClientFault) -> UpstreamError {
        let word = match fault {
            ClientFault::Malformed => "malformed request body",
            ClientFault::TooSlow => "slow request body",
            ClientFault::TooLarge => "request body over our limit",
            ClientFault::Left => "client left within its body",
        };
        UpstreamError::new(ErrorKind::Client, word)
    }

    /// A connection that the upstream ended while the client still owed bytes of its body.
    pub const fn unfinished() -> UpstreamError {
        UpstreamError::new(ErrorKind::Client, "the body was never complete")
    }

    /// A connection that the upstream ended while the client did not read.
    pub const fn unread() -> UpstreamError {
        UpstreamError::new(ErrorKind::Client, "the client did not read")
    }

    /// A connection that the upstream ended over a body where none belongs.
    pub const fn overlooked() -> UpstreamError {
        UpstreamError::new(ErrorKind::Client, "a body where none belongs")
    }

    /// A name that could not be looked up.
    pub fn lookup(host: &str, error: &io::Error) -> UpstreamError {
        let text = error.to_string();
        let said = text.rsplit(": ").next().unwrap_or(&text);
        // The texts of glibc and musl for EAI_NONAME and EAI_NODATA.
        let unknown = ["not known", "does not resolve", "No address associated"];
        if unknown.iter().any(|words| said.contains(words)) {
            UpstreamError::new(ErrorKind::Dns, "name not found")
                .with(format_args!("NXDOMAIN for {host}: {said}"))
        } else {
            UpstreamError::new(ErrorKind::Dns, "name lookup failed")
                .with(format_args!("{host}: {said}"))
        }
    }

    /// A TCP connection that failed to open.
    pub fn dial(error: &io::Error, address: Option<SocketAddr>) -> UpstreamError {
        let word = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refused",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
            io::ErrorKind::TimedOut => "connect timed out",
            io::ErrorKind::ConnectionReset => "reset while connecting",
            _ => "could not connect",
        };
        let error_at = AddressError(address, Some(error));
        UpstreamError::new(ErrorKind::Connect, word).with(error_at)
    }

    /// A TLS handshake that failed; `wanted`: a client certificate was asked for and there was none.
    pub fn handshake(
        error: &io::Error,
        address: Option<SocketAddr>,
        wanted: bool,
    ) -> UpstreamError {
        let word = match tls_error(error) {
            Some(error) => tls::name(error, wanted),
            None if wanted => tls::CLIENT_CERTIFICATE,
            None if error.kind() == io::ErrorKind::ConnectionReset => "reset within the handshake",
            None => "closed within the handshake",
        };
        match (tls_error(error), address) {
            (Some(error), Some(address)) => {
                let detail = tls::detail(error);
                UpstreamError::new(ErrorKind::Tls, word).with(format_args!("{address}: {detail}"))
            }
            _ => UpstreamError::new(ErrorKind::Tls, word).with(AddressError(address, Some(error))),
        }
    }

    /// A step of connecting that took too long.
    pub fn too_slow(kind: ErrorKind, word: &'static str, address: Option<SocketAddr>) -> Self {
        let error = UpstreamError::new(kind, word);
        match address {
            Some(_) => error.with(AddressError(address, None)),
            None => error,
        }
    }

    /// A TLS session that ended while no request waited; `None`: the connection beneath ended.
    pub fn session(error: &io::Error, wanted: bool) -> Option<UpstreamError> {
        let tls = tls_error(error)?;
        Some(UpstreamError::new(ErrorKind::Tls, tls::name(tls, wanted)).with(tls))
    }

    /// An answer that ended without an end of its body, in a form that is right after a complete one alone.
    pub fn cut_short() -> UpstreamError {
        let error = UpstreamError::new(ErrorKind::Truncated, "stream reset within the body");
        error.with("NO_ERROR")
    }

    /// A response's head that did not come; `wanted`: a client certificate was requested at the connection's start,
    /// there was none, and no response has ever come since; `begun`: a part of the head had come.
    pub fn head(error: &hyper::Error, wanted: bool, begun: bool) -> UpstreamError {
        if let Some(tls) = tls_error(error) {
            return UpstreamError::new(ErrorKind::Tls, tls::name(tls, wanted)).with(tls);
        }
        if let Some(why) = http2::error_in(error).and_then(|it| http2::name(it, Place::Head)) {
            return why;
        }
        if error.is_timeout() {
            return UpstreamError::new(ErrorKind::Reset, "no answer to a ping");
        }
        if error.is_parse_too_large() {
            return UpstreamError::head_over_limit();
        }
        if error.is_parse() {
            return UpstreamError::new(ErrorKind::Protocol, malformed(error));
        }
        if wanted && !begun {
            return UpstreamError::new(ErrorKind::Tls, tls::CLIENT_CERTIFICATE)
                .with("it closed the connection without an answer");
        }
        match io_error(error) {
            Some(io) if is_reset(io) => UpstreamError::new(ErrorKind::Reset, "reset").with(io),
            _ if begun => UpstreamError::new(ErrorKind::Reset, "cut within the head"),
            _ => UpstreamError::new(ErrorKind::Reset, "cut before the head"),
        }
    }

    /// A response's body that broke off.
    pub fn body(error: &hyper::Error) -> UpstreamError {
        if let Some(tls) = tls_error(error) {
            return UpstreamError::new(ErrorKind::Tls, tls::name(tls, false)).with(tls);
        }
        let h2 = http2::error_in(error);
        if let Some(why) = h2.and_then(|it| http2::name(it, Place::Body)) {
            return why;
        }
        match io_error(error).or_else(|| h2?.get_io()) {
            Some(io) if is_reset(io) => {
                UpstreamError::new(ErrorKind::Truncated, "reset within the body").with(io)
            }
            Some(io) if is_malformed(io) => match over_limit(io) {
                Some(word) => UpstreamError::new(ErrorKind::Limit, word).with(io),
                None => UpstreamError::new(ErrorKind::Protocol, "malformed chunk").with(io),
            },
            Some(io) => UpstreamError::new(ErrorKind::Truncated, "cut within the body").with(io),
            None if error.is_parse() => UpstreamError::new(ErrorKind::Protocol, malformed(error)),
            None => UpstreamError::new(ErrorKind::Truncated, "cut within the body"),
        }
    }

    /// The error's name in failure expressions when it occurs within a response's body: malformed, or truncated.
    pub fn as_body_error(&self) -> CallError {
        match self.kind {
            ErrorKind::Timeout => CallError::Timeout,
            ErrorKind::Protocol => CallError::Protocol,
            _ => CallError::Truncated,
        }
    }

    /// The cause in a breaker's reason.
    pub fn cause(&self) -> Cause {
        Cause::Word(self.word)
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        if kind == self.word {
            f.write_str(kind)?;
        } else {
            write!(f, "{kind}: {}", self.word)?;
        }
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// An error with the address that it concerns, as far as both are known.
struct AddressError<'a>(Option<SocketAddr>, Option<&'a io::Error>);

impl fmt::Display for AddressError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(address), Some(error)) => write!(f, "{address}: {error}"),
            (Some(address), None) => write!(f, "{address}"),
            (None, Some(error)) => write!(f, "{error}"),
            (None, None) => Ok(()),
        }
    }
}

/// The errors from outside in; an I/O error's own inner one, which its `source` skips, included.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.get_ref().map(|inner| inner as &(dyn Error + 'static));
        }
        error.source()
    })
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a tokio_rustls::rustls::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// True if hyper's decoder could not read a body.
fn is_malformed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

/// The limit of ours that a chunked body exceeded, if hyper's decoder says so.
fn over_limit(error: &io::Error) -> Option<&'static str> {
    match error.to_string().as_str() {
        "chunk trailers bytes over limit" | "chunk trailers count overflow" => {
            Some("trailers over our limit")
        }
        "chunk extensions over limit" => Some("chunk extensions over our limit"),
        _ => None,
    }
}

/// The fault of a head that hyper could not parse, by its error's text; for an unknown text just a malformed head.
fn malformed(error: &hyper::Error) -> &'static str {
    let text = error.to_string();
    let parts = [
        ("HTTP2", "HTTP/2 preface"),
        ("version", "malformed version"),
        ("status-code", "malformed status"),
        ("content-length", "malformed Content-Length"),
        ("transfer-encoding", "malformed Transfer-Encoding"),
        ("header", "malformed field"),
    ];
    let found = parts.iter().find(|(part, _)| text.contains(part));
    found.map_or("malformed head", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_not_made_is_named_by_its_cause() {
        let address = Some("10.0.0.1:80".parse().unwrap());
        for (kind, word) in [
            (io::ErrorKind::ConnectionRefused, "refused"),
            (io::ErrorKind::HostUnreachable, "unreachable"),
            (io::ErrorKind::NetworkUnreachable, "unreachable"),
            (io::ErrorKind::TimedOut, "connect timed out"),
            (io::ErrorKind::PermissionDenied, "could not connect"),
        ] {
            let error = UpstreamError::dial(&kind.into(), address);
            assert_eq!((error.kind, error.word), (ErrorKind::Connect, word));
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("connect: {word} (10.0.0.1:80: "))
            );
        }
    }

    #[test]
    fn a_name_that_does_not_exist_differs_from_a_lookup_that_failed() {
        let lookup = |said: &str| {
            let text = format!("failed to lookup address information: {said}");
            UpstreamError::lookup("a.invalid", &io::Error::other(text))
        };
        let unknown = lookup("Name or service not known");
        assert_eq!(
            unknown.to_string(),
            "dns: name not found (NXDOMAIN for a.invalid: Name or service not known)"
        );
        let again = lookup("Temporary failure in name resolution");
        assert_eq!(
            again.to_string(),
            "dns: name lookup failed (a.invalid: Temporary failure in name resolution)"
        );
    }

    #[test]
    fn a_tls_error_is_found_within_an_io_error() {
        use tokio_rustls::rustls::{AlertDescription, Error};
        let inner = Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = io::Error::new(io::ErrorKind::InvalidData, inner);
        let error = UpstreamError::handshake(&error, None, false);
        assert_eq!(error.word, tls::CLIENT_CERTIFICATE);
    }

    #[test]
    fn a_long_detail_is_cut() {
        let error = UpstreamError::no_head().with("é".repeat(10_000));
        let text = error.to_string();
        assert!(text.len() < 450 && text.ends_with("é…)"), "{text}");
    }

    #[test]
    fn a_detail_stands_in_brackets_and_no_word_twice() {
        assert_eq!(UpstreamError::no_head().to_string(), "timeout");
        let error = UpstreamError::new(ErrorKind::Reset, "reset").with("x");
        assert_eq!(error.to_string(), "reset (x)");
        let error = UpstreamError::new(ErrorKind::Connect, "refused");
        assert_eq!(error.to_string(), "connect: refused");
    }
}
