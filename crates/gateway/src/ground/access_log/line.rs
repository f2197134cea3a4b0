//! The line of one exchange: whether it is written, and its JSON.

use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use fusebox_plan::access_log::{AccessLog as Rules, Attempt, Entry, Texts};
use http::{HeaderName, HeaderValue, Version};

use crate::ground::access_log::Running;
use crate::ground::access_log::note::{Facts, Fallback, Note, Reason};

/// The status of an exchange whose client left before an answer, as nginx has it.
const LEFT: u16 = 499;

/// The flag of a refusal or failure, by the word of its reason.
const BY_REASON: [(&str, &str); 8] = [
    ("breaker_open", "CBO"),
    ("held_open", "CBO"),
    ("breaker_ramp", "CBO"),
    ("breaker_adaptive", "CBO"),
    ("breaker_probing", "CBH"),
    ("bulkhead_full", "BHF"),
    ("queue_timeout", "BHF"),
    ("connections_full", "BHF"),
];

/// The flag of a last attempt that failed, by the word of its error.
const BY_ERROR: [(&str, &str); 8] = [
    ("connect", "UF"),
    ("dns", "UF"),
    ("tls", "UF"),
    ("timeout", "UT"),
    ("reset", "UC"),
    ("truncated", "UC"),
    ("protocol", "UP"),
    ("limit", "UL"),
];

/// Writes the line of an exchange to the log, if it gets one.
pub fn write(running: &Running, worker: usize, note: &Note, facts: &Facts, duration: Duration) {
    let client = facts.client.map(|client| client.to_string());
    let upstream = match &facts.fallback {
        Some(Fallback::Upstream(name)) => format!("upstream={name}"),
        _ => String::new(),
    };
    let flags = flags(facts);
    let (bytes_in, bytes_out) = note.bytes();
    let decision = facts.decision.as_ref();
    let breaker = decision.and_then(|it| it.breaker.as_ref());
    let head = note.head.as_ref();
    let id = facts.id.as_ref().and_then(|id| id.to_str().ok());
    let subject = facts.client_subject.as_ref();
    let subject = subject.map(|subject| subject.to_str().unwrap_or_default());
    let entry = Entry {
        status: facts.status.map_or(LEFT, |status| status.as_u16()),
        duration,
        bytes_in,
        bytes_out,
        generation: breaker.map_or(0, |(_, _, generation)| *generation),
        grpc_status: facts.grpc_status,
        texts: Texts {
            route: facts.route.as_deref().unwrap_or_default(),
            method: head.map_or("", |head| head.method.as_str()),
            path: head.map_or("", |head| head.uri.path()),
            client: client.as_deref().unwrap_or_default(),
            client_subject: subject.unwrap_or_default(),
            request_id: id.unwrap_or_default(),
            upstream: decision.map_or("", |it| &it.upstream),
            endpoint: facts.attempts.last().map_or("", |it| &it.endpoint),
            breaker: breaker.map_or("", |(name, _, _)| name),
            state: breaker.map_or("", |(_, state, _)| state),
            reason: facts.reason.as_ref().map_or("", Reason::as_str),
            fallback: match &facts.fallback {
                None => "",
                Some(Fallback::LastGood) => "last_good",
                Some(Fallback::Respond) => "respond",
                Some(Fallback::Upstream(_)) => &upstream,
            },
            protocol: head.map_or("", |head| protocol(head.version)),
        },
        flags: &flags,
        attempts: &facts.attempts,
    };
    if !is_wanted(&running.rules, &entry) {
        return;
    }
    let micros = running.clock.wall().micros_at(note.started);
    let query = head.filter(|_| running.rules.query);
    let query = query.map(|head| head.uri.query().unwrap_or_default());
    let headers = head.map_or(&[][..], |head| &head.headers);
    running.sink.push(worker, |out| {
        let mut line = Line { out };
        line.put(micros, &entry, breaker.is_some());
        line.subject(subject);
        if facts.is_grpc {
            line.grpc(facts.grpc_status);
        }
        line.extras(query, headers);
        line.out.extend_from_slice(b"}\n");
    });
}

/// True if an exchange gets its line. A condition that fails to evaluate does not hold any line back.
fn is_wanted(rules: &Rules, entry: &Entry<'_>) -> bool {
    let drawn = rules.sample.map(|share| fastrand::f64() < share);
    match (&rules.when, drawn) {
        (None, None) | (_, Some(true)) => true,
        (None, Some(false)) => false,
        (Some(when), _) => when.holds(entry).unwrap_or_else(|error| {
            tracing::debug!(%error, "the access log's condition failed");
            true
        }),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/3",
    }
}

fn flags(facts: &Facts) -> Vec<&'static str> {
    let mut flags = Vec::new();
    let mut add = |flag| {
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    };
    let of = |word: &str, table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(known, _)| *known == word);
        found.map(|(_, flag)| *flag)
    };
    if let Some(reason) = &facts.reason {
        of(reason.as_str(), &BY_REASON).map(&mut add);
    }
    if let Some(error) = facts.attempts.last().and_then(|attempt| attempt.error) {
        of(error, &BY_ERROR).map(&mut add);
    }
    for flag in &facts.flags {
        add(flag.as_str());
    }
    match facts.fallback {
        None => {}
        Some(Fallback::LastGood) => {
            add("FB");
            add("ST");
        }
        Some(Fallback::Respond | Fallback::Upstream(_)) => add("FB"),
    }
    flags
}

/// A line of JSON as it is written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn put(&mut self, micros: u64, entry: &Entry<'_>, has_breaker: bool) {
        let at = UNIX_EPOCH + Duration::from_micros(micros);
        let at = humantime::format_rfc3339_micros(at);
        self.raw(b"{\"ts\":\"");
        self.display(at);
        self.raw(b"\",\"route\":");
        self.text_or_null(entry.texts.route);
        self.raw(b",\"method\":");
        self.text_or_null(entry.texts.method);
        self.raw(b",\"path\":");
        self.text_or_null(entry.texts.path);
        self.raw(b",\"status\":");
        self.number(u64::from(entry.status));
        self.raw(b",\"duration_ms\":");
        self.millis(entry.duration);
        self.raw(b",\"bytes_in\":");
        self.number(entry.bytes_in);
        self.raw(b",\"bytes_out\":");
        self.number(entry.bytes_out);
        self.raw(b",\"client\":");
        self.text_or_null(entry.texts.client);
        self.raw(b",\"request_id\":");
        self.text_or_null(entry.texts.request_id);
        self.raw(b",\"upstream\":");
        self.text_or_null(entry.texts.upstream);
        self.raw(b",\"endpoint\":");
        self.text_or_null(entry.texts.endpoint);
        self.raw(b",\"attempts\":[");
        for (at, attempt) in entry.attempts.iter().enumerate() {
            self.raw(if at == 0 { b"" } else { b"," });
            self.attempt(attempt);
        }
        self.raw(b"],\"breaker\":");
        self.text_or_null(entry.texts.breaker);
        self.raw(b",\"state\":");
        self.text_or_null(entry.texts.state);
        self.raw(b",\"generation\":");
        match has_breaker {
            true => self.number(entry.generation),
            false => self.raw(b"null"),
        }
        self.raw(b",\"reason\":");
        self.text_or_null(entry.texts.reason);
        self.raw(b",\"fallback\":");
        self.text_or_null(entry.texts.fallback);
        self.raw(b",\"flags\":[");
        for (at, flag) in entry.flags.iter().enumerate() {
            self.raw(if at == 0 { b"" } else { b"," });
            self.text(flag);
        }
        self.raw(b"],\"protocol\":");
        self.text_or_null(entry.texts.protocol);
    }

    /// The subject of the client's certificate, where its listener asks for one.
    fn subject(&mut self, subject: Option<&str>) {
        if let Some(subject) = subject {
            self.raw(b",\"client_subject\":");
            self.text_or_null(subject);
        }
    }

    /// The status of a gRPC exchange, or null.
    fn grpc(&mut self, status: Option<u8>) {
        self.raw(b",\"grpc_status\":");
        match status {
            Some(status) => self.number(u64::from(status)),
            None => self.raw(b"null"),
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        self.raw(b"{\"endpoint\":");
        self.text(&attempt.endpoint);
        self.raw(b",\"ms\":");
        self.millis(attempt.duration);
        self.raw(b",\"status\":");
        match attempt.status {
            Some(status) => self.number(u64::from(status)),
            None => self.raw(b"null"),
        }
        self.raw(b",\"error\":");
        self.text_or_null(attempt.error.unwrap_or_default());
        self.raw(b",\"outcome\":");
        self.text(attempt.outcome);
        if let Some(upstream) = &attempt.upstream {
            self.raw(b",\"upstream\":");
            self.text(upstream);
        }
        self.raw(b"}");
    }

    /// The parts that are logged only where the settings ask for them.
    fn extras(&mut self, query: Option<&str>, headers: &[(HeaderName, HeaderValue)]) {
        if let Some(query) = query {
            self.raw(b",\"query\":");
            self.text_or_null(query);
        }
        if headers.is_empty() {
            return;
        }
        self.raw(b",\"headers\":{");
        let mut last: Option<&HeaderName> = None;
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match last {
                // Values of one name are neighbours.
                Some(last) if last == name => {
                    self.out.pop();
                    self.raw(b", ");
                }
                Some(_) => {
                    self.raw(b",");
                    self.text(name.as_str());
                    self.raw(b":\"");
                }
                None => {
                    self.text(name.as_str());
                    self.raw(b":\"");
                }
            }
            self.inner(&value);
            self.raw(b"\"");
            last = Some(name);
        }
        self.raw(b"}");
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing into memory does not fail.
        write!(self.out, "{value}").ok();
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    /// Milliseconds with three decimals.
    fn millis(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.number(micros / 1000);
        let rest = micros % 1000;
        let digit = |number: u64| b'0' + (number % 10) as u8;
        self.out
            .extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
    }

    fn text_or_null(&mut self, text: &str) {
        match text {
            "" => self.raw(b"null"),
            text => self.text(text),
        }
    }

    fn text(&mut self, text: &str) {
        self.raw(b"\"");
        self.inner(text);
        self.raw(b"\"");
    }

    /// A text's characters. All but visible ASCII is escaped: no terminal and no reader of lines takes it for a command
    /// or for an end.
    fn inner(&mut self, text: &str) {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.as_bytes().iter().all(is_plain) {
            return self.raw(text.as_bytes());
        }
        for character in text.chars() {
            match character {
                '"' | '\\' => self.raw(&[b'\\', character as u8]),
                ' '..='~' => self.out.push(character as u8),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        self.display(format_args!("\\u{unit:04x}"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut out = Vec::new();
        Line { out: &mut out }.text(text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_text_is_json_and_visible_ascii() {
        for original in [
            "plain",
            "a\"b\\c",
            "\u{1b}[31m\n\r\t\0",
            "é\u{2028}😀\u{7f}\u{9b}",
        ] {
            let written = text(original);
            assert!(
                written.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{written}"
            );
            let read: String = serde_json::from_str(&written).unwrap();
            assert_eq!(read, original);
        }
    }

    #[test]
    fn a_line_with_everything_in_it_is_json() {
        let attempts = [Attempt {
            upstream: Some("spare".into()),
            endpoint: "127.0.0.1:80".into(),
            duration: Duration::from_micros(1_005),
            status: None,
            error: Some("connect"),
            outcome: "failure",
        }];
        let entry = Entry {
            status: 503,
            duration: Duration::from_micros(12_345_067),
            generation: 7,
            flags: &["UF", "FB"],
            attempts: &attempts,
            ..Entry::default()
        };
        let mut out = Vec::new();
        let mut line = Line { out: &mut out };
        line.put(1_796_053_643_000_007, &entry, true);
        line.grpc(Some(14));
        let name = HeaderName::from_static("x-a");
        let values = ["1", "two \"2\""].map(|value| (name.clone(), value.parse().unwrap()));
        line.extras(Some("a=b"), &values);
        line.raw(b"}");
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["ts"], "2026-11-30T15:47:23.000007Z");
        assert_eq!(read["duration_ms"], 12345.067);
        assert_eq!(read["grpc_status"], 14);
        assert_eq!(read["attempts"][0]["ms"], 1.005);
        assert_eq!(read["attempts"][0]["upstream"], "spare");
        assert_eq!(read["flags"], serde_json::json!(["UF", "FB"]));
        assert_eq!(read["route"], serde_json::Value::Null);
        assert_eq!(read["headers"]["x-a"], "1, two \"2\"");
        assert_eq!(read["query"], "a=b");
    }
}
