//! Reads nginx's access logs: `combined`, the forms with times after it that are found in the field, and JSON.
//!
//! After the quoted user agent any tokens may stand. Times are known by their names (`rt=0.123 urt="0.120"`,
//! `request_time:0.123`) or, without names, by their form: the first decimal is `$request_time`, the second
//! `$upstream_response_time`. nginx writes several upstream times with commas and colons; the last is the last attempt's.

use super::json::{bare, members, text_of};
use super::time::{moment, span};
use super::{End, Line, Unreadable, path_of, status, text};

const FORM: Unreadable = Unreadable::Form("`ADDRESS - USER [TIME] \"REQUEST\" STATUS BYTES …`");

/// Names of `$request_time`.
const REQUEST: [&[u8]; 5] = [
    b"rt",
    b"request_time",
    b"reqtime",
    b"req_time",
    b"request-time",
];
/// Names of `$upstream_response_time`.
const RESPONSE: [&[u8]; 6] = [
    b"urt",
    b"upstream_response_time",
    b"uptime",
    b"upstream_time",
    b"ups_resp_time",
    b"upstream-response-time",
];
/// Names of `$upstream_header_time`.
const HEADER: [&[u8]; 3] = [b"uht", b"upstream_header_time", b"ups_header_time"];

/// True if a line looks like nginx's: a time in brackets, then a quoted request.
pub fn claims(line: &[u8]) -> bool {
    read(line).is_ok()
}

pub fn read(line: &[u8]) -> Result<Line<'_>, Unreadable> {
    let open = memchr::memchr(b'[', line).ok_or(FORM)?;
    let close = open + memchr::memchr(b']', &line[open..]).ok_or(FORM)?;
    let at = moment(&line[open + 1..close]).ok_or(Unreadable::Fact("time in brackets"))?;
    let quote = close + memchr::memchr(b'"', &line[close..]).ok_or(FORM)?;
    let (request, rest) = quoted(&line[quote..]).ok_or(FORM)?;
    let mut tokens = Tokens(rest);
    let code = tokens.next().and_then(|token| status(token.text));
    let mut read = Line {
        at,
        status: Some(code.ok_or(Unreadable::Fact("status"))?),
        ..Line::default()
    };
    asked(request, &mut read);
    // The bytes sent, the referer and the user agent, as far as they are there.
    let mut times = Times::default();
    let mut skipped = 0;
    for token in tokens {
        if skipped < 3 && (skipped == 0 || token.is_quoted) && !token.text.contains(&b'=') {
            skipped += 1;
        } else {
            times.see(&token);
        }
    }
    times.finish(&mut read);
    Ok(read)
}

pub fn read_json(line: &[u8]) -> Result<Line<'_>, Unreadable> {
    let mut read = Line::default();
    let (mut at, mut times) = (None, Times::default());
    members(line, |name, value| {
        let bare = bare(value);
        match name {
            b"time_iso8601" | b"time_local" | b"time" | b"msec" | b"timestamp" | b"@timestamp" => {
                at = at.or(moment(bare));
            }
            b"status" => read.status = status(bare),
            b"request" => asked(bare, &mut read),
            b"request_uri" | b"uri" => read.path = text_of(value).map(path_of),
            b"request_method" | b"method" => read.method = text_of(value),
            b"host" | b"http_host" | b"server_name" => read.host = text_of(value),
            b"upstream_addr" => read.endpoint = text_of(last(bare)),
            b"upstream" | b"upstream_name" => read.upstream = text_of(value),
            _ => times.named(name, bare),
        }
    })?;
    read.at = at.ok_or(Unreadable::Fact("time"))?;
    if read.status.is_none() {
        return Err(Unreadable::Fact("status"));
    }
    times.finish(&mut read);
    Ok(read)
}

/// Takes method and path from a request line; a malformed one has neither.
fn asked<'a>(request: &'a [u8], read: &mut Line<'a>) {
    let mut words = request.split(|byte| *byte == b' ');
    if let (Some(method), Some(target)) = (words.next(), words.next()) {
        read.method = Some(text(method));
        read.path = Some(path_of(text(target)));
    }
}

/// The last of several values that are separated by commas and colons.
fn last(list: &[u8]) -> &[u8] {
    let start = list.iter().rposition(|byte| matches!(byte, b',' | b' '));
    list[start.map_or(0, |at| at + 1)..].trim_ascii()
}

/// The times of a line, as they come.
#[derive(Default)]
struct Times {
    request: Option<u64>,
    response: Option<u64>,
    header: Option<u64>,
    /// True if the log says that no upstream was asked.
    local: bool,
    /// Decimals without a name so far.
    bare: usize,
    /// True if the last token was the upstream's time with a comma after it.
    goes_on: bool,
}

impl Times {
    fn see(&mut self, token: &Token<'_>) {
        if let Some(at) = token
            .text
            .iter()
            .position(|byte| matches!(byte, b'=' | b':'))
            && at > 0
            && token.text[0].is_ascii_alphabetic()
        {
            let value = token.text[at + 1..].trim_ascii();
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            return self.named(
                &token.text[..at],
                value.strip_suffix(b"\"").unwrap_or(value),
            );
        }
        if token.text == b":" {
            return;
        }
        let goes_on = token.text.ends_with(b",");
        let value = last(token.text.strip_suffix(b",").unwrap_or(token.text));
        let decimal = value.contains(&b'.').then(|| span(value, 9)).flatten();
        match (decimal, self.bare) {
            (Some(time), 0) => {
                self.request = self.request.or(Some(time));
                self.bare = 1;
            }
            (Some(time), 1) => {
                self.response = self.response.or(Some(time));
                self.bare = 2;
            }
            (Some(time), _) if self.goes_on => self.response = Some(time),
            (None, 1) if value == b"-" && !token.is_quoted => {
                self.local = true;
                self.bare = 2;
            }
            _ => {}
        }
        self.goes_on = self.bare == 2 && goes_on;
    }

    fn named(&mut self, name: &[u8], value: &[u8]) {
        let time = span(last(value), 9);
        if REQUEST.contains(&name) {
            self.request = time;
        } else if RESPONSE.contains(&name) {
            self.response = time;
            self.local = value == b"-" || value.is_empty();
        } else if HEADER.contains(&name) {
            self.header = time;
        }
    }

    fn finish(self, read: &mut Line<'_>) {
        read.lasted = self.request.or(self.response);
        read.took = self.header.or(self.response).or(self.request);
        if read.status == Some(499) {
            read.end = Some(End::Left);
        } else if self.local {
            read.end = Some(End::Local);
        }
    }
}

struct Token<'a> {
    text: &'a [u8],
    is_quoted: bool,
}

/// Texts separated by spaces; quotes keep theirs together.
struct Tokens<'a>(&'a [u8]);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.0.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        if rest[0] == b'"'
            && let Some((text, rest)) = quoted(rest)
        {
            self.0 = rest;
            let is_quoted = true;
            return Some(Token { text, is_quoted });
        }
        let mut end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        // A named value in quotes, `urt="0.001, 0.002"`, may have spaces.
        if let Some(at) = memchr::memchr(b'"', &rest[..end])
            && let Some((text, _)) = quoted(&rest[at..])
        {
            end = at + text.len() + 2;
        }
        let text = &rest[..end];
        self.0 = &rest[end..];
        let is_quoted = false;
        Some(Token { text, is_quoted })
    }
}

/// The text between quotes, and the bytes after them. nginx writes a quote within as `\x22`, other programs as `\"`.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some((&text[1..at], &text[at + 1..]));
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"192.0.2.7 - - [30/Nov/2026:15:47:23 +0000] "GET /orders/7?a=[1] HTTP/1.1" 502 157 "-" "curl/8.5 (x)""#;
    const MS: u64 = 1_000_000;

    #[test]
    fn times_after_the_combined_form_are_found_in_the_forms_of_the_field() {
        for (tail, lasted, took) in [
            ("", None, None),
            (" \"-\"", None, None),
            (" 0.123", Some(123), Some(123)),
            (" 0.123 0.120", Some(123), Some(120)),
            (" 0.123 0.120 .", Some(123), Some(120)),
            (" \"203.0.113.9\" 0.123 0.120", Some(123), Some(120)),
            (
                " rt=0.123 uct=\"0.001\" uht=\"0.110\" urt=\"0.120\"",
                Some(123),
                Some(110),
            ),
            (" rt=0.123 urt=\"0.001, 0.120\" cs=-", Some(123), Some(120)),
            (" 0.123 0.001, 0.120 -", Some(123), Some(120)),
            (" 0.123 0.001 : 0.120", Some(123), Some(1)),
            (
                " request_time:0.123 upstream_response_time:0.120",
                Some(123),
                Some(120),
            ),
            (" \"0.123\" \"0.120\"", Some(123), Some(120)),
        ] {
            let line = format!("{HEAD}{tail}");
            let read = read(line.as_bytes()).unwrap();
            assert_eq!(read.lasted, lasted.map(|ms| ms * MS), "{tail}");
            assert_eq!(read.took, took.map(|ms| ms * MS), "{tail}");
            assert_eq!(read.path.as_deref(), Some("/orders/7"), "{tail}");
            assert_eq!((read.status, read.end), (Some(502), None), "{tail}");
            assert_eq!(read.at, 1_796_053_643_000_000_000, "{tail}");
        }
    }

    #[test]
    fn a_request_that_asked_no_upstream_is_no_call_and_one_that_was_left_has_no_outcome() {
        let end = |line: &str| read(line.as_bytes()).unwrap().end;
        assert_eq!(end(&format!("{HEAD} 0.123 -")), Some(End::Local));
        assert_eq!(end(&format!("{HEAD} rt=0.123 urt=\"-\"")), Some(End::Local));
        assert_eq!(end(&HEAD.replace(" 502 ", " 499 ")), Some(End::Left));
    }

    #[test]
    fn json_of_nginx_is_read_by_its_variables() {
        let line = br#"{"time_iso8601":"2026-11-30T15:47:23+00:00","request":"POST /a?b HTTP/2.0","status":"504","request_time":"60.001","upstream_response_time":"0.010, 60.000","upstream_addr":"10.0.0.1:80, 10.0.0.2:80","host":"x.test"}"#;
        let read = read_json(line).unwrap();
        assert_eq!(
            (read.method.as_deref(), read.path.as_deref()),
            (Some("POST"), Some("/a"))
        );
        assert_eq!(
            (read.lasted, read.took),
            (Some(60_001 * MS), Some(60_000 * MS))
        );
        assert_eq!(read.endpoint.as_deref(), Some("10.0.0.2:80"));
    }

    #[test]
    fn other_text_is_not_claimed() {
        for line in [
            "",
            "time,status",
            "[2026] x",
            "a [b] \"c\" d",
            "2026/11/30 15:47:23 [error] 7#7: *1 connect()",
        ] {
            assert!(!claims(line.as_bytes()), "{line}");
        }
    }
}
