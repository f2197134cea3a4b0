//! The names that a log has for the facts: `--map at=.time,ms=.rt,status=.status,upstream=.svc`.

use std::fmt;

use super::fusebox::grpc;
use super::json::{bare, member, members, text_of};
use super::time::{moment, span};
use super::{End, Line, Unreadable, path_of, status, text};

/// The facts that can be mapped, each with the names that stand for it where none is given.
pub const FACTS: [(&str, &[&str]); 16] = [
    (
        "at",
        &[
            "at",
            "ts",
            "time",
            "timestamp",
            "@timestamp",
            "start",
            "start_time",
        ],
    ),
    (
        "ms",
        &[
            "ms",
            "duration_ms",
            "elapsed_ms",
            "latency_ms",
            "response_time_ms",
        ],
    ),
    (
        "s",
        &[
            "s",
            "request_time",
            "response_time",
            "duration_s",
            "seconds",
        ],
    ),
    (
        "status",
        &["status", "status_code", "code", "response_code"],
    ),
    ("upstream", &["upstream", "service", "svc", "backend"]),
    ("route", &["route"]),
    ("path", &["path", "uri", "request_uri", "url"]),
    ("method", &["method", "request_method", "verb"]),
    ("host", &["host", "authority"]),
    ("endpoint", &["endpoint", "upstream_addr", "upstream_host"]),
    ("error", &["error"]),
    ("outcome", &["outcome", "result"]),
    ("grpc_status", &["grpc_status"]),
    ("at_ms", &["at_ms", "start_ms", "timestamp_ms"]),
    ("at_us", &["at_us"]),
    ("at_ns", &["at_ns"]),
];

/// The place of each fact in a line of JSON or CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldMap {
    /// A fact's number in [`FACTS`], and the names from the outermost member to its own.
    given: Vec<(usize, Vec<String>)>,
    /// A request field's name, and its place.
    headers: Vec<(String, Vec<String>)>,
}

/// The error of a `--map` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapError(String);

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MapError {}

impl FieldMap {
    /// Reads `FACT=.NAME[.NAME…]`, separated by commas; the first dot may be left out.
    ///
    /// # Errors
    /// An unknown fact, one without a name, or one given twice.
    pub fn read(text: &str) -> Result<FieldMap, MapError> {
        let mut map = FieldMap::default();
        for pair in text.split(',').map(str::trim) {
            let Some((fact, place)) = pair.split_once('=') else {
                return Err(MapError(format!(
                    "`{pair}` has no `=`; expected FACT=.NAME, as in at=.time,ms=.rt,status=.status,upstream=.svc"
                )));
            };
            let place = place.strip_prefix('.').unwrap_or(place);
            let place: Vec<String> = place.split('.').map(str::to_owned).collect();
            if place.iter().any(String::is_empty) {
                return Err(MapError(format!(
                    "`{pair}` has no name; expected {fact}=.NAME"
                )));
            }
            if let Some(header) = fact.strip_prefix("header.") {
                map.headers.push((header.to_ascii_lowercase(), place));
                continue;
            }
            let Some(number) = FACTS.iter().position(|(name, _)| *name == fact) else {
                let known: Vec<_> = FACTS.iter().map(|(name, _)| *name).collect();
                return Err(MapError(format!(
                    "unknown fact `{fact}`; expected one of {}, header.NAME",
                    known.join(", ")
                )));
            };
            if map.given.iter().any(|(given, _)| *given == number) {
                return Err(MapError(format!("`{fact}` is given twice")));
            }
            map.given.push((number, place));
        }
        Ok(map)
    }

    /// The fact that stands at a name of the first level, given or by default.
    pub(super) fn fact_of(&self, name: &str) -> Option<usize> {
        let given = |(_, place): &&(usize, Vec<String>)| place.len() == 1 && place[0] == name;
        if let Some((number, _)) = self.given.iter().find(given) {
            return Some(*number);
        }
        let by_name = |(_, names): &(&str, &[&str])| names.contains(&name);
        let number = FACTS.iter().position(by_name)?;
        // A fact that is given has no default, and neither has it in another unit.
        let is_given = self
            .given
            .iter()
            .any(|(given, _)| kind(*given) == kind(number));
        (!is_given).then_some(number)
    }

    /// The request field that stands at a name of the first level.
    pub(super) fn header_of(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(_, place)| place.len() == 1 && place[0] == name);
        found.map(|(header, _)| header.as_str())
    }

    pub(super) fn read_json<'a>(&self, line: &'a [u8]) -> Result<Line<'a>, Unreadable> {
        let mut read = Taken::default();
        members(line, |name, value| {
            let Ok(name) = std::str::from_utf8(name) else {
                return;
            };
            if let Some(number) = self.fact_of(name) {
                read.take(number, value);
            }
            // Deeper places, which are rare.
            if value.first() == Some(&b'{') {
                for (number, place) in &self.given {
                    if place.len() > 1
                        && place[0] == name
                        && let Some(value) = deeper(value, &place[1..])
                    {
                        read.take(*number, value);
                    }
                }
            }
            for (header, place) in &self.headers {
                if place[0] == name
                    && let Some(value) = deeper(value, &place[1..]).and_then(text_of)
                {
                    read.line.headers.push((header.clone().into(), value));
                }
            }
        })?;
        read.finish()
    }
}

/// A fact's kind: its name without the unit.
fn kind(number: usize) -> &'static str {
    match FACTS[number].0 {
        "at_ms" | "at_us" | "at_ns" => "at",
        "s" => "ms",
        name => name,
    }
}

fn deeper<'a>(value: &'a [u8], names: &[String]) -> Option<&'a [u8]> {
    names
        .iter()
        .try_fold(value, |value, name| member(value, name.as_bytes()))
}

/// A line whose facts come one by one.
#[derive(Default)]
pub(super) struct Taken<'a> {
    pub line: Line<'a>,
    at: Option<i64>,
    bad: Option<&'static str>,
}

impl<'a> Taken<'a> {
    /// Takes a value as it is written in JSON; a text of CSV comes without quotes.
    pub fn take(&mut self, fact: usize, value: &'a [u8]) {
        let is_nothing = matches!(value, b"null" | b"" | b"\"\"" | b"-" | b"\"-\"");
        if is_nothing {
            return;
        }
        let line = &mut self.line;
        let bare = bare(value);
        let mut bad = |name| self.bad = self.bad.or(Some(name));
        match FACTS[fact].0 {
            "at" => self.at = moment(bare),
            "at_ms" => self.at = super::time::scaled(bare, 6),
            "at_us" => self.at = super::time::scaled(bare, 3),
            "at_ns" => self.at = super::time::scaled(bare, 0),
            "ms" => match span(bare, 6) {
                None => bad("ms"),
                lasted => line.lasted = lasted,
            },
            "s" => match span(bare, 9) {
                None => bad("s"),
                lasted => line.lasted = lasted,
            },
            "status" => match status(bare) {
                None => bad("status"),
                status => line.status = status,
            },
            "upstream" => line.upstream = text_of(value),
            "route" => line.route = text_of(value),
            "path" => line.path = text_of(value).map(path_of),
            "method" => line.method = text_of(value),
            "host" => line.host = text_of(value),
            "endpoint" => line.endpoint = text_of(value),
            "error" => line.error = text_of(value),
            "grpc_status" => line.grpc_status = grpc(bare),
            _ => match text(bare).to_ascii_lowercase().as_str() {
                "success" | "ok" => line.end = Some(End::Success),
                "failure" | "failed" | "fail" => line.end = Some(End::Failure),
                "ignored" => line.end = Some(End::Ignored),
                "refused" | "rejected" => line.end = Some(End::Refused),
                "left" | "cancelled" | "canceled" | "abandoned" => line.end = Some(End::Left),
                _ => bad("outcome"),
            },
        }
    }

    pub fn finish(self) -> Result<Line<'a>, Unreadable> {
        let mut line = self.line;
        line.at = self.at.ok_or(Unreadable::Fact("time (`at`)"))?;
        if let Some(name) = self.bad {
            return Err(Unreadable::Fact(name));
        }
        if line.status.is_none() && line.error.is_none() && line.end.is_none() {
            return Err(Unreadable::Fact("`status`, `error` or `outcome`"));
        }
        if line.status == Some(499) && line.end.is_none() {
            line.end = Some(End::Left);
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_finds_its_facts_at_any_depth() {
        let map = FieldMap::read(
            "at=.t,ms=.http.rt,status=http.code,upstream=.svc,header.X-Tenant=.h.tenant",
        );
        let line = map.unwrap();
        let line = line
            .read_json(br#"{"t":"1970-01-01T00:00:01Z","http":{"rt":"2.5","code":503},"svc":"a","h":{"tenant":7}}"#)
            .unwrap();
        assert_eq!(
            (line.at, line.lasted, line.status),
            (1_000_000_000, Some(2_500_000), Some(503))
        );
        assert_eq!(line.upstream.as_deref(), Some("a"));
        assert_eq!(line.headers, [("x-tenant".into(), "7".into())]);
    }

    #[test]
    fn a_wrong_map_says_what_is_expected() {
        let error = |text| FieldMap::read(text).unwrap_err().to_string();
        assert!(
            error("when=.t").starts_with("unknown fact `when`; expected one of at, ms, s, status")
        );
        assert!(error("at").starts_with("`at` has no `=`"));
        assert_eq!(error("at=."), "`at=.` has no name; expected at=.NAME");
        assert_eq!(error("at=.a,at=.b"), "`at` is given twice");
    }

    #[test]
    fn a_line_without_a_time_or_an_outcome_is_unreadable() {
        let read = |line: &'static str| FieldMap::default().read_json(line.as_bytes());
        assert_eq!(
            read(r#"{"status":200}"#),
            Err(Unreadable::Fact("time (`at`)"))
        );
        assert_eq!(
            read(r#"{"at":1}"#),
            Err(Unreadable::Fact("`status`, `error` or `outcome`"))
        );
        assert_eq!(
            read(r#"{"at":1,"status":"2xx"}"#),
            Err(Unreadable::Fact("status"))
        );
        assert_eq!(
            read(r#"{"at":1,"outcome":"refused"}"#).unwrap().end,
            Some(End::Refused)
        );
    }
}
