//! Reads Envoy's access logs: the default format, that of Istio, and JSON of their names.

use super::fusebox::grpc;
use super::json::{bare, members, text_of};
use super::time::{moment, span};
use super::{End, Line, Unreadable, path_of, status, text};

const FORM: Unreadable = Unreadable::Form("`[TIME] \"METHOD PATH PROTOCOL\" STATUS FLAGS …`");

/// The errors by Envoy's response flags, short and long.
const ERRORS: [(&[u8], &str); 14] = [
    (b"UF", "connect"),
    (b"UpstreamConnectionFailure", "connect"),
    (b"UT", "timeout"),
    (b"UpstreamRequestTimeout", "timeout"),
    (b"UMSDR", "timeout"),
    (b"UpstreamMaxStreamDurationReached", "timeout"),
    (b"SI", "timeout"),
    (b"UC", "reset"),
    (b"UpstreamConnectionTermination", "reset"),
    (b"UR", "reset"),
    (b"UpstreamRemoteReset", "reset"),
    (b"UPE", "protocol"),
    (b"UpstreamProtocolError", "protocol"),
    (b"LR", "reset"),
];

/// The flags of a request that Envoy's own breakers refused: overflow, and no endpoint that is well.
const REFUSED: [&[u8]; 4] = [b"UO", b"UpstreamOverflow", b"UH", b"NoHealthyUpstream"];

/// The flags of a request that Envoy answered without an upstream.
const LOCAL: [&[u8]; 14] = [
    b"NR",
    b"NoRouteFound",
    b"NC",
    b"NoClusterFound",
    b"RL",
    b"RateLimited",
    b"RLSE",
    b"RateLimitServiceError",
    b"UAEX",
    b"UnauthorizedExternalService",
    b"FI",
    b"FaultInjected",
    b"DPE",
    b"DownstreamProtocolError",
];

const LEFT: [&[u8]; 4] = [
    b"DC",
    b"DownstreamConnectionTermination",
    b"DR",
    b"DownstreamRemoteReset",
];

pub fn read(line: &[u8]) -> Result<Line<'_>, Unreadable> {
    let close = memchr::memchr(b']', line).ok_or(FORM)?;
    if line.first() != Some(&b'[') {
        return Err(FORM);
    }
    let at = moment(&line[1..close]).ok_or(Unreadable::Fact("time in brackets"))?;
    let mut tokens = Tokens(&line[close + 1..]);
    let request = tokens.next().filter(|token| token.1).ok_or(FORM)?;
    let mut read = Line {
        at,
        ..Line::default()
    };
    let mut words = request.0.split(|byte| *byte == b' ');
    if let (Some(method), Some(target)) = (words.next(), words.next()) {
        read.method = Some(text(method));
        read.path = Some(path_of(text(target)));
    }
    let code = tokens.next().and_then(|token| status(token.0));
    read.status = Some(code.ok_or(Unreadable::Fact("status"))?);
    let flags = tokens.next().ok_or(FORM)?.0;
    // Istio has details and a quoted reason between the flags and the bytes received.
    let mut received = tokens.next();
    let mut passed = 0;
    while received.is_some_and(|token| token.1 || !token.0.iter().all(u8::is_ascii_digit)) {
        received = tokens.next();
        passed += 1;
        if passed > 3 {
            return Err(FORM);
        }
    }
    let _sent = tokens.next();
    read.lasted = tokens.next().and_then(|token| span(token.0, 6));
    read.took = tokens.next().and_then(|token| span(token.0, 6));
    // X-Forwarded-For, the user agent and the request's id.
    let mut texts = tokens.skip(3);
    read.host = texts.next().and_then(named);
    read.endpoint = texts.next().and_then(named);
    flag(flags, &mut read);
    Ok(read)
}

pub fn read_json(line: &[u8]) -> Result<Line<'_>, Unreadable> {
    let mut read = Line::default();
    let (mut at, mut flags) = (None, &b"-"[..]);
    members(line, |name, value| {
        let bare = bare(value);
        match name {
            b"start_time" => at = moment(bare),
            b"method" => read.method = text_of(value),
            b"path" | b"x-envoy-original-path" => {
                read.path = read.path.take().or_else(|| text_of(value).map(path_of));
            }
            b"authority" => read.host = text_of(value),
            b"response_code" => read.status = status(bare),
            b"response_flags" => flags = bare,
            b"duration" => read.lasted = span(bare, 6),
            b"upstream_service_time" | b"x-envoy-upstream-service-time" => {
                read.took = span(bare, 6);
            }
            b"upstream_host" => read.endpoint = text_of(value),
            b"grpc_status" | b"grpc_status_number" => read.grpc_status = grpc(bare),
            _ => {}
        }
    })?;
    read.at = at.ok_or(Unreadable::Fact("start_time"))?;
    if read.status.is_none() {
        return Err(Unreadable::Fact("response_code"));
    }
    flag(flags, &mut read);
    Ok(read)
}

/// Takes over what the flags say of the end.
fn flag(flags: &[u8], read: &mut Line<'_>) {
    for flag in flags.split(|byte| *byte == b',') {
        if let Some((_, error)) = ERRORS.iter().find(|(name, _)| *name == flag) {
            read.error = Some((*error).into());
            // Envoy's own answer in place of one.
            read.status = read.status.filter(|status| *status < 500);
        } else if REFUSED.contains(&flag) {
            read.end = Some(End::Refused);
        } else if LOCAL.contains(&flag) {
            read.end = Some(End::Local);
        } else if LEFT.contains(&flag) {
            read.end = Some(End::Left);
        }
    }
    read.took = read.took.or(read.lasted);
}

fn named((text, _): (&[u8], bool)) -> Option<std::borrow::Cow<'_, str>> {
    (text != b"-").then(|| super::text(text))
}

/// Texts separated by spaces, each with its quotes taken off, and whether it had any.
struct Tokens<'a>(&'a [u8]);

impl<'a> Iterator for Tokens<'a> {
    type Item = (&'a [u8], bool);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_ascii_start();
        if let [b'"', inner @ ..] = rest
            && let Some(end) = memchr::memchr(b'"', inner)
        {
            self.0 = &inner[end + 1..];
            return Some((&inner[..end], true));
        }
        let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        self.0 = &rest[end..];
        (end > 0).then_some((&rest[..end], false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_default_format_is_read() {
        let line = br#"[2026-11-30T15:47:23.310Z] "POST /api/v1/locations?a=b HTTP/2" 503 UF,URX 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b" "locations:80" "10.0.2.1:80""#;
        let read = read(line).unwrap();
        assert_eq!(read.at, 1_796_053_643_310_000_000);
        assert_eq!((read.lasted, read.took), (Some(226 * MS), Some(100 * MS)));
        assert_eq!(
            (read.status, read.error.as_deref()),
            (None, Some("connect"))
        );
        assert_eq!(read.path.as_deref(), Some("/api/v1/locations"));
        assert_eq!(
            (read.host.as_deref(), read.endpoint.as_deref()),
            (Some("locations:80"), Some("10.0.2.1:80"))
        );
    }

    #[test]
    fn the_format_of_istio_is_read() {
        let line = br#"[2026-11-30T15:47:23.310Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 3 "-" "curl/7.73.0" "84961386" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin.foo 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default"#;
        let read = read(line).unwrap();
        assert_eq!(
            (read.status, read.lasted, read.took),
            (Some(418), Some(4 * MS), Some(3 * MS))
        );
        assert_eq!(read.host.as_deref(), Some("httpbin:8000"));
    }

    #[test]
    fn json_is_read_and_flags_say_who_ended_the_request() {
        let end = |flags: &str| {
            let line = format!(
                r#"{{"start_time":"2026-11-30T15:47:23.310Z","method":"GET","path":"/a","response_code":0,"response_flags":"{flags}","duration":12,"upstream_service_time":null}}"#
            );
            let read = read_json(line.as_bytes()).unwrap();
            assert_eq!(read.lasted, Some(12 * MS));
            (read.end, read.error.map(|error| error.into_owned()))
        };
        assert_eq!(end("-"), (None, None));
        assert_eq!(end("DC"), (Some(End::Left), None));
        assert_eq!(end("UO"), (Some(End::Refused), None));
        assert_eq!(end("NR"), (Some(End::Local), None));
        assert_eq!(end("UT"), (None, Some("timeout".into())));
    }

    #[test]
    fn a_cut_line_is_unreadable() {
        for line in [
            "[2026-11-30T15:47:23.310Z]",
            "[x] \"GET / HTTP/1.1\" 200",
            "[2026-11-30T15:47:23Z] \"GET / HTTP/1.1\" 200",
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
    }
}
