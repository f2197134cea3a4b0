//! The target of a redirect: its `Location`, resolved against the request that was answered with it (RFC 3986, section
//! 5).

use fusebox_plan::plan::Endpoint;
use http::Uri;

/// The endpoint and the target of `location`, resolved against a request to `endpoint` for `target`.
///
/// # Errors
/// If it cannot be followed; the text gives the reason.
pub fn resolve(
    endpoint: &Endpoint,
    target: &str,
    location: &str,
) -> Result<(Endpoint, String), String> {
    let location = location.split('#').next().unwrap_or_default();
    if !location.is_ascii() || location.contains(|char: char| char <= ' ' || char == '\x7f') {
        return Err("it is not a URL".into());
    }
    let scheme = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let named = location
        .split_once("://")
        .is_some_and(|(before, _)| scheme(before));
    if named || location.starts_with("//") {
        return elsewhere(endpoint, location);
    }
    let (path, query) = split(location);
    let (base, base_query) = split(target);
    let resolved = if path.is_empty() {
        let query = query.or(base_query);
        return Ok((endpoint.clone(), joined(base, query)));
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
        without_dots(&format!("{folder}{path}"))
    };
    Ok((endpoint.clone(), joined(&resolved, query)))
}

fn elsewhere(endpoint: &Endpoint, location: &str) -> Result<(Endpoint, String), String> {
    let scheme = if endpoint.tls { "https" } else { "http" };
    let whole = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else {
        location.to_owned()
    };
    let uri: Uri = whole.parse().map_err(|_| "it is not a URL".to_owned())?;
    let tls = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
        Some("http") => false,
        Some("https") => true,
        other => {
            let other = other.unwrap_or_default();
            return Err(format!("unsupported protocol scheme {other:?}"));
        }
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it has a user name".into());
    }
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    if host.is_empty() {
        return Err("it has no host".into());
    }
    let port = Endpoint::port_of(authority, tls).ok_or("its port is not from 1 to 65535")?;
    let there = Endpoint::new(tls, &host.to_ascii_lowercase(), port);
    let path = without_dots(uri.path());
    Ok((there, joined(&path, uri.query())))
}

fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

fn joined(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// A path whose dot segments are carried out (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(location: &str) -> Result<String, String> {
        let here = Endpoint::new(false, "a", 8080);
        let (endpoint, target) = resolve(&here, "/b/c/d?q=1", location)?;
        Ok(format!("{}{target}", endpoint.url()))
    }

    #[test]
    fn a_location_is_seen_from_where_it_was_found() {
        for (location, leads) in [
            ("/x", "http://a:8080/x"),
            ("x?y=2", "http://a:8080/b/c/x?y=2"),
            ("../x", "http://a:8080/b/x"),
            ("../../../x", "http://a:8080/x"),
            ("./", "http://a:8080/b/c/"),
            ("?y", "http://a:8080/b/c/d?y"),
            ("", "http://a:8080/b/c/d?q=1"),
            ("#top", "http://a:8080/b/c/d?q=1"),
            ("//B/x", "http://b/x"),
            ("https://b:443", "https://b/"),
            (
                "http://[::1]:81/x/../y?u=http://z",
                "http://[::1]:81/y?u=http://z",
            ),
            ("/x?u=http://z", "http://a:8080/x?u=http://z"),
        ] {
            assert_eq!(from(location).as_deref(), Ok(leads), "{location}");
        }
    }

    #[test]
    fn a_location_that_cannot_be_followed_is_refused() {
        for location in [
            "ftp://b/",
            "http://",
            "http://u:p@b/",
            "http://b:99999/",
            "a b",
            "http://b/ü",
        ] {
            assert!(from(location).is_err(), "{location}");
        }
    }
}
