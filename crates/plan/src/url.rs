//! The address of an upstream, `http://HOST:PORT/BASE`, without parts that a base address cannot have.

use http::uri::Authority;

use crate::diagnostic::quote;
use crate::path::check_literal;
use crate::plan::Endpoint;

/// Parses an upstream's URL (RFC 3986). On failure, the fault and its mend.
pub fn read(text: &str) -> Result<Endpoint, (String, String)> {
    let example = "write it as `http://127.0.0.1:8081` or `https://orders.example/base`";
    let ipv6 = "write it as `http://[::1]:8081`";
    let err = |what: &str, mend: &str| Err((what.to_owned(), mend.to_owned()));
    let Some((scheme, rest)) = text.split_once("://") else {
        return err("the URL has no scheme", example);
    };
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => {
            let what = format!("the scheme {} is not supported", quote(scheme));
            return err(&what, "use `http` or `https`");
        }
    };
    if rest.contains('#') {
        return err("the URL has a fragment", "remove `#` and what follows it");
    }
    if rest.contains('?') {
        let mend = "remove `?` and what follows it; a request's own query is passed on";
        return err("the URL has a query", mend);
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if authority.contains('@') {
        let mend = "remove everything up to `@`; credentials in a URL end up in logs";
        return err("the URL has a user or password", mend);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inside) => {
            let Some((host, after)) = inside.split_once(']') else {
                return err("the bracket of the IPv6 address is not closed", ipv6);
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return err("the text in brackets is not an IPv6 address", ipv6);
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return err("after the IPv6 address only a port may follow", ipv6),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return err("an IPv6 address must be in brackets", ipv6);
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return err("the URL has no host", example);
    }
    if !authority.starts_with('[') && !is_host(host) {
        let what = format!("{} is not a host's name or address", quote(host));
        let mend =
            "use letters, digits, `-`, `_` and dots; write other letters in their `xn--` form";
        return err(&what, mend);
    }
    let port = match port.map(str::parse::<u16>) {
        None => Endpoint::own_port(tls),
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return err("the port is not a number from 1 to 65535", example),
    };
    let base_path = path.trim_end_matches('/');
    if let Err(fault) = check_literal(base_path, 0) {
        return Err((format!("in the URL's path: {}", fault.what), fault.mend));
    }
    if base_path.contains("//") {
        let what = "the URL's path has an empty segment (`//`)";
        return err(what, "remove one of the slashes");
    }
    Ok(Endpoint {
        base_path: base_path.to_owned(),
        ..Endpoint::new(tls, &host.to_ascii_lowercase(), port)
    })
}

/// True for an IPv4 address, or for labels of at most 63 characters, 253 in all (RFC 1123; `_` as in service names).
fn is_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return name.parse::<std::net::Ipv4Addr>().is_ok();
    }
    name.len() <= 253 && name.split('.').all(label)
}

impl Endpoint {
    /// An endpoint with an empty `base_path`. `host` is a name or an IP literal without brackets.
    pub fn new(tls: bool, host: &str, port: u16) -> Endpoint {
        let mut authority = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        if port != Endpoint::own_port(tls) {
            authority.push_str(&format!(":{port}"));
        }
        Endpoint {
            tls,
            host: host.to_owned(),
            port,
            authority,
            base_path: String::new(),
        }
    }

    /// The default port of a scheme: 443 for `https`, otherwise 80.
    pub const fn own_port(tls: bool) -> u16 {
        if tls { 443 } else { 80 }
    }

    /// The port of an authority, by default the scheme's own; `None`: there is a text that is not a port.
    pub fn port_of(authority: &Authority, tls: bool) -> Option<u16> {
        let text = authority.as_str();
        let text = text.rsplit_once('@').map_or(text, |(_, place)| place);
        let port = text.strip_prefix(authority.host())?;
        match port.strip_prefix(':') {
            None | Some("") => Some(Endpoint::own_port(tls)),
            Some(port) => port.parse().ok().filter(|port| *port > 0),
        }
    }

    /// The endpoint's URL, without a default port.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_port_authority_and_base() {
        let endpoint = read("https://Orders.Example:8443/api/v1/").unwrap();
        assert_eq!(endpoint.host, "orders.example");
        assert_eq!((endpoint.tls, endpoint.port), (true, 8443));
        assert_eq!(endpoint.authority, "orders.example:8443");
        assert_eq!(endpoint.base_path, "/api/v1");
        assert_eq!(endpoint.url(), "https://orders.example:8443/api/v1");
        let endpoint = read("http://[::1]:80").unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.authority.as_str()),
            ("::1", "[::1]")
        );
    }

    #[test]
    fn an_authority_has_its_port_or_the_schemes_own_and_never_another() {
        for (authority, port) in [
            ("a", Some(443)),
            ("a:", Some(443)),
            ("u:1@a:81", Some(81)),
            ("[::1]", Some(443)),
            ("[::1]:81", Some(81)),
            ("a:0", None),
            ("a:99999", None),
        ] {
            let parsed = authority.parse().unwrap();
            assert_eq!(Endpoint::port_of(&parsed, true), port, "{authority}");
        }
    }

    #[test]
    fn a_url_that_is_not_a_base_address_is_refused() {
        for bad in [
            "127.0.0.1:8081",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a:0",
            "http://a:65536",
            "http://a:",
            "http://user:pw@a",
            "http://a/?x",
            "http://a/#x",
            "http://::1:80",
            "http://[::1",
            "http://[x]",
            "http://[::1]x",
            "http://a b",
            "http://-a",
            "http://a/../b",
            "http://a/%zz",
            "http://1.2.3",
            "http://a..b",
            "http://a//b",
            "http://ü",
            "http://256.1.1.1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
