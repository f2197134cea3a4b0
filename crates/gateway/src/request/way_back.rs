//! An upstream's redirects to itself, pointed at the gateway: from an address and a path of the upstream to a path of
//! the route.
//!
//! What goes out is a path without a host: the client resolves it against the URL that it asked for, which is right
//! behind any proxy that ends TLS, and no `Host` of one client gets into an answer that is kept for others.

use fusebox_plan::plan::{Endpoint, Rewrite, RewritePart, Upstream, UpstreamHost};
use http::header::LOCATION;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode};

/// The facts by which a redirect finds back.
#[derive(Debug, Clone, Copy)]
pub struct WayBack<'a> {
    /// The upstream that has answered.
    pub upstream: &'a Upstream,
    /// The route's path template.
    pub path: &'a str,
    /// The path that the upstream sees; `None`: the request's own.
    pub rewrite: Option<&'a Rewrite>,
    /// The values of the path's parameters in this request.
    pub params: &'a [(String, String)],
}

/// True if an answer of that status may have a `Location` that leads its client on.
#[inline]
pub fn may_lead(status: StatusCode) -> bool {
    status.is_redirection() || status == StatusCode::CREATED
}

impl WayBack<'_> {
    /// Points a `Location` that leads to the upstream at the gateway; any other stays as it is.
    #[cold]
    pub fn lead(&self, headers: &mut HeaderMap) {
        if let Some(location) = headers.get(LOCATION)
            && let Ok(text) = std::str::from_utf8(location.as_bytes())
            && let Some(led) = self.led(text)
            && let Ok(led) = HeaderValue::from_bytes(led.as_bytes())
        {
            headers.insert(LOCATION, led);
        }
    }

    /// The path that `location` has here; `None`: it leads elsewhere, or stays as it is.
    fn led(&self, location: &str) -> Option<String> {
        // Browsers drop tabs before they read a URL, so that `/<tab>/a` names a host to them.
        if location.contains(|char: char| char.is_ascii_control()) {
            return None;
        }
        let bounded = |text: &str| text.find(['/', '?', '#', '\\']).unwrap_or(text.len());
        let (base, rest, is_whole) = if let Some(after) = location.strip_prefix("//") {
            // The scheme is that by which the upstream was asked.
            let at = bounded(after);
            let own = |tls| self.base_at(tls, &after[..at]);
            (own(false).or_else(|| own(true))?, &after[at..], true)
        } else if location.starts_with('/') {
            (self.base()?, location, false)
        } else {
            let (scheme, after) = location.split_once("://")?;
            let tls = match scheme.to_ascii_lowercase().as_str() {
                "http" => false,
                "https" => true,
                _ => return None,
            };
            let at = bounded(after);
            (self.base_at(tls, &after[..at])?, &after[at..], true)
        };
        let at = rest.find(['?', '#']).unwrap_or(rest.len());
        let (path, more) = rest.split_at(at);
        let path = if path.is_empty() { "/" } else { path };
        match self.path_of(base, path) {
            Some(here) if is_whole || here != path => Some(written(&here, more)),
            Some(_) => None,
            None => is_whole.then(|| written(path, more)),
        }
    }

    /// The base path of the endpoint at that address, or of the first with that scheme if the address is the upstream's `host`;
    /// `None`: it is not the upstream's.
    fn base_at(&self, tls: bool, authority: &str) -> Option<&str> {
        let authority: Authority = authority.parse().ok()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let named = match &self.upstream.host {
            UpstreamHost::Named(name) => Authority::try_from(name.as_bytes()).ok(),
            UpstreamHost::Own | UpstreamHost::Preserved => None,
        };
        let named = named.and_then(|name| place(&name, tls));
        let (host, port) = place(&authority, tls)?;
        let mut endpoints = self.upstream.endpoints.iter().map(|it| &it.endpoint);
        let found = endpoints.find(|endpoint| {
            let is_own = endpoint.host == host && endpoint.port == port;
            let is_named = || {
                named
                    .as_ref()
                    .is_some_and(|name| *name == (host.clone(), port))
            };
            endpoint.tls == tls && (is_own || is_named())
        });
        found.map(|endpoint| endpoint.base_path.as_str())
    }

    /// The base path that all endpoints have; `None`: they differ.
    fn base(&self) -> Option<&str> {
        let mut bases = self.upstream.endpoints.iter();
        let first = &bases.next()?.endpoint.base_path;
        let same = bases.all(|it| it.endpoint.base_path == *first);
        same.then_some(first)
    }

    /// The path by which the gateway leads to `path` of the upstream; `None`: the route does not lead there.
    fn path_of(&self, base: &str, path: &str) -> Option<String> {
        let below = path.strip_prefix(base)?;
        let below = match below {
            "" => "/",
            below if below.starts_with('/') => below,
            _ => return None,
        };
        let Some(rewrite) = self.rewrite else {
            return Some(below.to_owned());
        };
        let (RewritePart::Param(last), before) = rewrite.0.split_last()? else {
            return None;
        };
        let (here, name) = self.path.strip_suffix('}')?.rsplit_once('{')?;
        if name.trim_start_matches('*') != last {
            return None;
        }
        let mut there = String::new();
        for part in before {
            match part {
                RewritePart::Literal(text) => there.push_str(text),
                RewritePart::Param(name) => there.push_str(self.param(name)),
            }
        }
        let rest = below.strip_prefix(&*there).or_else(|| {
            let is_its_root = there.strip_suffix('/') == Some(below);
            is_its_root.then_some("")
        })?;
        let mut led = String::new();
        let mut here = here;
        while let Some((text, after)) = here.split_once('{') {
            let (name, after) = after.split_once('}')?;
            led.push_str(text);
            led.push_str(self.param(name));
            here = after;
        }
        led.push_str(here);
        led.push_str(rest);
        Some(led)
    }

    fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// The host in lower case and without brackets, and the port, by default the scheme's own; `None`: its port is none.
fn place(authority: &Authority, tls: bool) -> Option<(String, u16)> {
    let host = authority.host().to_ascii_lowercase();
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Some((host, Endpoint::port_of(authority, tls)?))
}

/// A path with its query and fragment, as a reference without a host. One that begins with two slashes, or what browsers
/// take for them, would name a host: a dot stands between.
fn written(path: &str, more: &str) -> String {
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let dot = match path.as_bytes() {
        [_, b'/' | b'\\', ..] => "/.",
        _ => "",
    };
    format!("{dot}{path}{more}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn upstream(endpoints: &[(bool, &str, u16, &str)]) -> Upstream {
        let endpoints = endpoints.iter().map(|(tls, host, port, base)| Endpoint {
            base_path: (*base).to_owned(),
            ..Endpoint::new(*tls, host, *port)
        });
        let endpoints: Vec<_> = endpoints.collect();
        let mut upstream = Upstream::new(Arc::from("orders"), endpoints[0].clone());
        upstream.endpoints = endpoints.into_iter().map(Into::into).collect();
        upstream
    }

    #[track_caller]
    fn leads(upstream: &Upstream, location: &str, led: Option<&str>) {
        let way = WayBack {
            upstream,
            path: "/{*rest}",
            rewrite: None,
            params: &[],
        };
        assert_eq!(way.led(location).as_deref(), led, "{location}");
    }

    #[test]
    fn a_redirect_to_the_upstreams_address_leads_to_the_same_path_here() {
        let one = upstream(&[(false, "10.0.0.1", 8081, "")]);
        for (location, led) in [
            ("http://10.0.0.1:8081/a/b?c=d#e", Some("/a/b?c=d#e")),
            ("HTTP://10.0.0.1:8081", Some("/")),
            ("http://10.0.0.1:8081?c", Some("/?c")),
            ("//10.0.0.1:8081/a", Some("/a")),
            ("http://10.0.0.1:8081/\u{fc} x", Some("/\u{fc} x")),
            ("https://10.0.0.1:8081/a", None),
            ("http://10.0.0.1/a", None),
            ("http://10.0.0.2:8081/a", None),
            ("http://u@10.0.0.1:8081/a", None),
            ("http://10.0.0.1:8081:1/a", None),
            ("ftp://10.0.0.1:8081/a", None),
            ("/a", None),
            ("a?u=http://10.0.0.1:8081/", None),
            ("", None),
        ] {
            leads(&one, location, led);
        }
        let named = upstream(&[(true, "shop.test", 443, ""), (true, "::1", 8443, "")]);
        leads(&named, "https://Shop.test/a", Some("/a"));
        leads(&named, "https://shop.test:443/a", Some("/a"));
        leads(&named, "https://[::1]:8443/a", Some("/a"));
        leads(&named, "http://shop.test/a", None);
    }

    #[test]
    fn a_path_that_a_browser_takes_for_a_host_stays_a_path() {
        let one = upstream(&[(false, "a", 80, "")]);
        leads(&one, "http://a//b.test/", Some("/.//b.test/"));
        leads(&one, "http://a/\\b.test/", Some("/./\\b.test/"));
        leads(&one, "http://a\\b.test/", Some("/./\\b.test/"));
        leads(&one, "http://a/\t/b.test/", None);
        leads(&one, "//b.test/", None);
        let base = upstream(&[(false, "a", 80, "/v1")]);
        leads(&base, "/v1//b.test/", Some("/.//b.test/"));
    }

    #[test]
    fn the_base_path_of_the_url_is_taken_off() {
        let base = upstream(&[(false, "a", 80, "/v1")]);
        for (location, led) in [
            ("http://a/v1/x", Some("/x")),
            ("http://a/v1?q", Some("/?q")),
            ("/v1/x", Some("/x")),
            ("http://a/v10/x", Some("/v10/x")),
            ("http://a/x", Some("/x")),
            ("/v10/x", None),
            ("x", None),
        ] {
            leads(&base, location, led);
        }
        let two = upstream(&[(false, "a", 80, "/v1"), (false, "b", 80, "/v2")]);
        leads(&two, "http://b/v2/x", Some("/x"));
        leads(&two, "/v2/x", None);
    }

    #[test]
    fn the_name_that_an_upstream_is_told_to_have_is_its_address_too() {
        let mut one = upstream(&[(false, "10.0.0.1", 8081, "")]);
        leads(&one, "http://shop.test/a", None);
        one.host = UpstreamHost::Named(HeaderValue::from_static("shop.test"));
        leads(&one, "http://shop.test/a", Some("/a"));
        leads(&one, "http://shop.test:8081/a", None);
        leads(&one, "https://shop.test/a", None);
        leads(&one, "http://10.0.0.1:8081/a", Some("/a"));
        one.host = UpstreamHost::Preserved;
        leads(&one, "http://shop.test/a", None);
    }

    #[test]
    fn a_rewrite_that_ends_as_the_routes_path_does_is_undone() {
        let literal = |text: &str| RewritePart::Literal(text.to_owned());
        let param = |text: &str| RewritePart::Param(text.to_owned());
        let one = upstream(&[(false, "a", 80, "/base")]);
        let params = [("tenant", "t1"), ("rest", "x/y")];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let led = |path: &str, rewrite: Vec<RewritePart>, location: &str| {
            let way = WayBack {
                upstream: &one,
                path,
                rewrite: Some(&Rewrite(rewrite)),
                params: &params,
            };
            way.led(location)
        };
        let (api, v1) = ("/api/{tenant}/{*rest}", || {
            vec![literal("/v1/"), param("rest")]
        });
        assert_eq!(
            led(api, v1(), "/base/v1/z?q").as_deref(),
            Some("/api/t1/z?q")
        );
        assert_eq!(
            led(api, v1(), "http://a/base/v1").as_deref(),
            Some("/api/t1/")
        );
        assert_eq!(led(api, v1(), "/base/v2/z"), None);
        assert_eq!(
            led(api, v1(), "http://a/base/v2/z").as_deref(),
            Some("/base/v2/z")
        );
        let by_tenant = vec![literal("/"), param("tenant"), literal("/"), param("rest")];
        assert_eq!(
            led(api, by_tenant, "/base/t1/z").as_deref(),
            Some("/api/t1/z")
        );
        assert_eq!(led(api, vec![literal("/v1")], "/base/v1"), None);
        assert_eq!(led("/{rest}/x", v1(), "/base/v1/z"), None);
    }
}
