//! Reads access logs line by line: our own, those of nginx and Envoy, CSV, and JSON lines of any names.
//!
//! A reader takes one line at a time and gives its facts, with texts that lie in the line where they can. It judges
//! nothing: whose call it was, and whether it failed, is for the configuration to say.

mod columns;
mod envoy;
mod fusebox;
mod json;
mod map;
mod nginx;
mod time;

use std::borrow::Cow;
use std::fmt;

pub use fusebox::{Attempt, attempts};
pub use json::text_of;
pub use map::{FieldMap, MapError};

use columns::Columns;

/// The longest line that is read, in bytes; a longer one is unreadable.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// A form of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fusebox's own access log.
    Fusebox,
    /// nginx: combined, with or without `$request_time` and `$upstream_response_time`, or JSON of nginx's names.
    Nginx,
    /// Envoy: its default format, that of Istio, or JSON of their names.
    Envoy,
    /// Comma-separated values under a line of names.
    Csv,
    /// JSON objects, one a line.
    Ndjson,
}

impl Format {
    /// The form of a log by its first line that is not blank.
    pub fn detect(line: &[u8]) -> Option<Format> {
        let line = line.trim_ascii();
        match line.first()? {
            b'{' => {
                let has = |name: &[u8]| json::member(line, name).is_some();
                Some(if has(b"ts") && has(b"duration_ms") {
                    Format::Fusebox
                } else if has(b"start_time") && has(b"response_code") {
                    Format::Envoy
                } else if has(b"request_time") && has(b"status") {
                    Format::Nginx
                } else {
                    Format::Ndjson
                })
            }
            b'[' => Some(Format::Envoy),
            _ if nginx::claims(line) => Some(Format::Nginx),
            _ if line.contains(&b',') => Some(Format::Csv),
            _ => None,
        }
    }

    /// The form's name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Fusebox => "fusebox",
            Format::Nginx => "nginx",
            Format::Envoy => "envoy",
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
        }
    }
}

/// The reason why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The line is not of the log's form; the text says which form was expected.
    Form(&'static str),
    /// A fact is missing or not readable, such as `time`.
    Fact(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Form(expected) => write!(f, "expected {expected}"),
            Unreadable::Fact(name) => write!(f, "no readable {name}"),
        }
    }
}

/// The end of a request as the log says it in one word, beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A success, said outright.
    Success,
    /// A failure, said outright.
    Failure,
    /// An outcome that counts neither way, said outright.
    Ignored,
    /// Refused by a live breaker.
    Refused,
    /// Given up by its client.
    Left,
    /// Answered without asking an upstream.
    Local,
}

/// The facts of one line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line<'a> {
    /// The start, in nanoseconds since 1970 or any other zero.
    pub at: i64,
    /// Nanoseconds to the end; `None`: the log does not have it.
    pub lasted: Option<u64>,
    /// Nanoseconds that the upstream took, to the head of its answer where the log has that.
    pub took: Option<u64>,
    /// The status; `None`: the log does not have it.
    pub status: Option<u16>,
    /// The status of gRPC.
    pub grpc_status: Option<u8>,
    /// The error between proxy and upstream, in the words of an access log's attempts.
    pub error: Option<Cow<'a, str>>,
    /// The end beside the status.
    pub end: Option<End>,
    /// The upstream's name.
    pub upstream: Option<Cow<'a, str>>,
    /// The route's name.
    pub route: Option<Cow<'a, str>>,
    /// The request's method.
    pub method: Option<Cow<'a, str>>,
    /// The path, without its query.
    pub path: Option<Cow<'a, str>>,
    /// The request's host.
    pub host: Option<Cow<'a, str>>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<Cow<'a, str>>,
    /// The subject of the client's certificate.
    pub client_subject: Option<Cow<'a, str>>,
    /// Fields of the request by their lower-case names.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The attempts as [`attempts`] reads them; only in our own log.
    pub attempts: Option<&'a [u8]>,
    /// True of a tunnel, whose outcome was known at its begin.
    pub is_tunnel: bool,
}

/// A reader of the lines of one log.
#[derive(Clone, Debug)]
pub struct Reader {
    format: Format,
    map: FieldMap,
    columns: Option<Columns>,
    at_end: bool,
}

impl Reader {
    /// A reader of a form. `map` names the fields of CSV and of JSON lines; `at_end`: the time of a line is its end.
    pub fn new(format: Format, map: FieldMap, at_end: bool) -> Reader {
        Reader {
            format,
            map,
            columns: None,
            at_end,
        }
    }

    /// Reads a line, without its end of line; `None` for a blank one, and for the names above CSV.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Option<Line<'a>>, Unreadable> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(Unreadable::Form("a line of at most 1 MiB"));
        }
        let is_json = line[0] == b'{';
        let mut read = match self.format {
            Format::Fusebox => fusebox::read(line)?,
            Format::Nginx if is_json => nginx::read_json(line)?,
            Format::Nginx => nginx::read(line)?,
            Format::Envoy if is_json => envoy::read_json(line)?,
            Format::Envoy => envoy::read(line)?,
            Format::Ndjson => self.map.read_json(line)?,
            Format::Csv => match &self.columns {
                None => {
                    self.columns = Some(Columns::of(line, &self.map));
                    return Ok(None);
                }
                Some(columns) => columns.read(line)?,
            },
        };
        if self.at_end {
            let lasted = read.lasted.or(read.took).unwrap_or(0);
            read.at = read
                .at
                .saturating_sub(i64::try_from(lasted).unwrap_or(i64::MAX));
        }
        Ok(Some(read))
    }

    /// The names that CSV has above its lines but that none of the facts uses, or the facts that it lacks.
    pub fn lacks(&self) -> Option<&'static str> {
        self.columns.as_ref().and_then(Columns::lacks)
    }
}

/// A text of a line: as it is if it is UTF-8.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// A path without its query and fragment; of an absolute URL its path.
fn path_of(target: Cow<'_, str>) -> Cow<'_, str> {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let start = match target[..end].find("://") {
        Some(at) => {
            let rest = at + 3;
            target[rest..end]
                .find('/')
                .map_or(end, |slash| rest + slash)
        }
        None => 0,
    };
    if start == 0 && end == target.len() {
        return target;
    }
    match target {
        Cow::Borrowed(target) => Cow::Borrowed(&target[start..end]),
        Cow::Owned(target) => Cow::Owned(target[start..end].to_owned()),
    }
}

/// A whole number of at most three digits.
fn status(bytes: &[u8]) -> Option<u16> {
    let digits = !bytes.is_empty() && bytes.len() <= 3 && bytes.iter().all(u8::is_ascii_digit);
    digits.then(|| {
        bytes
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    })
}
