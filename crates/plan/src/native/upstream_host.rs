//! Reads `host` and `location` of an upstream: the `Host` of its requests, and the treatment of its redirects.

use http::HeaderValue;

use crate::diagnostic::{Notes, quote};
use crate::fields::{self, Fields};
use crate::plan::{Location, UpstreamHost};
use crate::url;

/// The words of `host` that are no names.
const WORDS: [(&str, UpstreamHost); 2] = [
    ("upstream", UpstreamHost::Own),
    ("preserve", UpstreamHost::Preserved),
];

/// A fault and its mend.
type Fault = (String, String);

/// Reads `host`; `None`: it is missing or has a fault, which is noted.
pub(super) fn read_host(upstream: &Fields<'_>, notes: &mut Notes) -> Option<UpstreamHost> {
    let scalar = upstream.scalar("host", notes)?;
    match host(&scalar.value.text) {
        Ok(host) => Some(host),
        Err((what, mend)) => fields::refuse(scalar.at, scalar.value, what, mend, notes),
    }
}

/// Reads `location`; the default where it is missing or has a fault, which is noted.
pub(super) fn read_location(upstream: &Fields<'_>, notes: &mut Notes) -> Location {
    let word = upstream.word("location", notes);
    word.map_or_else(Location::default, |word| {
        [Location::Rewrite, Location::Keep][word.value]
    })
}

fn host(text: &str) -> Result<UpstreamHost, Fault> {
    let lower = text.to_ascii_lowercase();
    if let Some((word, host)) = WORDS.iter().find(|(word, _)| *word == lower) {
        if *word == text {
            return Ok(host.clone());
        }
        let what = format!("{} is not a word of `host`", quote(text));
        return Err((what, format!("write `{word}`")));
    }
    match fault(text) {
        Some((what, mend)) => Err((what, mend.to_owned())),
        None => match HeaderValue::try_from(lower) {
            Ok(name) => Ok(UpstreamHost::Named(name)),
            Err(_) => Err(no_host(text)),
        },
    }
}

fn no_host(text: &str) -> Fault {
    (
        format!("{} is not a host's name or address", quote(text)),
        NAME.to_owned(),
    )
}

const NAME: &str =
    "write a name such as `shop.example` or `shop.example:8080`, or `upstream` or `preserve`";

/// The fault of a name with an optional port, and its mend.
fn fault(text: &str) -> Option<(String, &'static str)> {
    let said = |what: &str, mend| Some((what.to_owned(), mend));
    if text.is_empty() {
        return said("`host` is empty", NAME);
    }
    if text.contains("://") {
        return said(
            "`host` is a URL, and it is sent as a name alone",
            "remove the scheme and the path; where the requests go is said by `url`",
        );
    }
    if text.contains('@') {
        return said(
            "`host` has a user or password",
            "remove everything up to `@`",
        );
    }
    if text.contains(['/', '?', '#']) {
        return said(
            "`host` has a path, and it is sent as a name alone",
            "remove it; a path before every request's is a part of `url`",
        );
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return said(
            "an IPv6 address must be in brackets",
            "write it as `\"[::1]\"`",
        );
    }
    // The port is read as one of `http`, and written as it is.
    let Err((what, _)) = url::read(&format!("http://{text}")) else {
        return None;
    };
    match what.strip_prefix("the URL has") {
        Some(rest) => Some((format!("`host` has{rest}"), NAME)),
        None => Some((what, NAME)),
    }
}
