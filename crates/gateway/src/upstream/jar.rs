//! Cookies that upstreams set: stored, and sent again (RFC 6265, sections 5.3 and 5.4).
//!
//! There is no list of public suffixes here: a cookie for all of `.example` is refused as a single name, and one for
//! all of `.co.example` goes only to servers that a flow calls.

use std::net::IpAddr;

use cookie::Cookie;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

/// The most cookies in a jar, and the most bytes of one: more than RFC 6265, section 6.1, asks of a client, and no more
/// than a hostile upstream should be able to store.
const COOKIES_MAX: usize = 200;
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies of one configuration, shared by all workers.
#[derive(Debug, Default)]
pub struct Jar(
    // A std lock: held for a search, never across a wait.
    Mutex<Vec<StoredCookie>>,
);

/// A request that may carry cookies.
#[derive(Debug, Clone, Copy)]
pub struct CookieRequest<'a> {
    /// True for a request over TLS.
    pub tls: bool,
    pub host: &'a str,
    /// The request's path and query.
    pub target: &'a str,
    /// The present time, in milliseconds since the Unix epoch.
    pub now: u64,
}

#[derive(Debug)]
struct StoredCookie {
    name: String,
    value: String,
    domain: String,
    /// True if the cookie goes only to the host that set it.
    host_only: bool,
    path: String,
    secure: bool,
    /// The time of its expiry, in milliseconds since the Unix epoch; `None`: when the gateway ends.
    until: Option<u64>,
}

impl Jar {
    /// The value of a request's `Cookie` field; `None` without a matching cookie.
    pub fn cookies(&self, asked: CookieRequest<'_>) -> Option<HeaderValue> {
        let kept = self.0.lock();
        let mut found: Vec<&StoredCookie> = kept.iter().filter(|it| it.belongs_to(asked)).collect();
        // The longer paths first; the sort is stable, so the older of two is.
        found.sort_by_key(|it| std::cmp::Reverse(it.path.len()));
        let pairs: Vec<String> = found
            .iter()
            .map(|it| format!("{}={}", it.name, it.value))
            .collect();
        // Bytes that a field cannot hold cannot have come in one.
        let text = HeaderValue::from_str(&pairs.join("; "));
        text.ok().filter(|text| !text.is_empty())
    }

    /// Stores the cookies that the answer to a request sets, except those that every client would refuse.
    pub fn keep(&self, asked: CookieRequest<'_>, fields: &HeaderMap) {
        for line in fields.get_all(SET_COOKIE) {
            let text = line.to_str().ok();
            let text = text.filter(|text| text.len() <= COOKIE_BYTES_MAX);
            let Some(new) = text.and_then(|text| StoredCookie::read(text, asked)) else {
                continue;
            };
            let mut kept = self.0.lock();
            kept.retain(|old| old.lives(asked.now));
            let known = kept.iter().position(|old| old.is_replaced_by(&new));
            match (known, new.lives(asked.now)) {
                (Some(at), true) => kept[at] = new,
                (Some(at), false) => drop(kept.remove(at)),
                (None, true) if kept.len() < COOKIES_MAX => kept.push(new),
                (None, _) => {}
            }
        }
    }
}

impl StoredCookie {
    /// The cookie of a `Set-Cookie` field; `None`: it is malformed, or the server may not set it.
    fn read(text: &str, asked: CookieRequest<'_>) -> Option<StoredCookie> {
        let cookie = Cookie::parse(text).ok()?;
        let host = asked.host.to_ascii_lowercase();
        let domain = cookie.domain().map(str::to_ascii_lowercase);
        let domain = domain.filter(|domain| !domain.is_empty() && *domain != host);
        let (domain, host_only) = match domain {
            None => (host, cookie.domain().is_none_or(str::is_empty)),
            Some(domain) if domain.contains('.') && is_within(&host, &domain) => (domain, false),
            Some(_) => return None,
        };
        let until = match (cookie.max_age(), cookie.expires_datetime()) {
            (Some(age), _) => {
                let age = u64::try_from(age.whole_seconds()).unwrap_or(0);
                Some(asked.now.saturating_add(age.saturating_mul(1000)))
            }
            (None, Some(at)) => {
                let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
                Some(seconds.saturating_mul(1000))
            }
            (None, None) => None,
        };
        if cookie.secure().unwrap_or(false) && !asked.tls {
            return None;
        }
        let path = cookie.path().filter(|path| path.starts_with('/'));
        Some(StoredCookie {
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
            domain,
            host_only,
            path: path.unwrap_or(folder(asked.target)).to_owned(),
            secure: cookie.secure().unwrap_or(false),
            until,
        })
    }

    fn lives(&self, now: u64) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    fn is_replaced_by(&self, new: &StoredCookie) -> bool {
        self.name == new.name && self.domain == new.domain && self.path == new.path
    }

    fn belongs_to(&self, asked: CookieRequest<'_>) -> bool {
        let host = asked.host.to_ascii_lowercase();
        let here = host == self.domain || (!self.host_only && is_within(&host, &self.domain));
        here && self.lives(asked.now)
            && (asked.tls || !self.secure)
            && path_of(asked.target)
                .strip_prefix(&*self.path)
                .is_some_and(|rest| {
                    rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
                })
    }
}

/// True if a host belongs to a domain (RFC 6265, section 5.1.3).
fn is_within(host: &str, domain: &str) -> bool {
    let before = host.strip_suffix(domain);
    before.is_some_and(|before| before.ends_with('.')) && host.parse::<IpAddr>().is_err()
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// The default path of a cookie without one (RFC 6265, section 5.1.4).
fn folder(target: &str) -> &str {
    match path_of(target).rfind('/') {
        None | Some(0) => "/",
        Some(at) => &target[..at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(host: &'a str, target: &'a str) -> CookieRequest<'a> {
        CookieRequest {
            tls: false,
            host,
            target,
            now: 1_000,
        }
    }

    fn set(jar: &Jar, at: CookieRequest<'_>, cookie: &str) {
        let mut fields = HeaderMap::new();
        fields.insert(SET_COOKIE, cookie.parse().unwrap());
        jar.keep(at, &fields);
    }

    fn sent(jar: &Jar, at: CookieRequest<'_>) -> String {
        let cookies = jar.cookies(at);
        cookies.map_or(String::new(), |it| it.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_comes_back_where_it_belongs() {
        let jar = Jar::default();
        let here = asked("a.test", "/x/y?z");
        set(&jar, here, "s=1");
        set(&jar, here, "t=2; Path=/; Domain=A.test");
        assert_eq!(sent(&jar, asked("a.test", "/x/z")), "s=1; t=2");
        assert_eq!(sent(&jar, asked("A.TEST", "/x")), "s=1; t=2");
        assert_eq!(sent(&jar, asked("a.test", "/xy")), "t=2");
        assert_eq!(sent(&jar, asked("b.a.test", "/x")), "t=2");
        assert_eq!(sent(&jar, asked("ba.test", "/x")), "");
        set(&jar, here, "s=3; Path=/x");
        assert_eq!(sent(&jar, asked("a.test", "/x")), "s=3; t=2");
    }

    #[test]
    fn what_is_not_a_servers_to_set_is_not_kept() {
        let jar = Jar::default();
        let here = asked("a.test", "/");
        for cookie in [
            "s=1; Domain=b.test",
            "s=1; Domain=test",
            "s=1; Secure",
            "none",
        ] {
            set(&jar, here, cookie);
        }
        set(&jar, asked("127.0.0.1", "/"), "s=1; Domain=0.0.1");
        assert_eq!(sent(&jar, here) + &sent(&jar, asked("127.0.0.1", "/")), "");
        let secret = CookieRequest { tls: true, ..here };
        set(&jar, secret, "s=1; Secure");
        assert_eq!(
            (sent(&jar, here), sent(&jar, secret)),
            (String::new(), "s=1".into())
        );
    }

    #[test]
    fn a_cookie_ends_at_its_time() {
        let jar = Jar::default();
        let here = asked("a.test", "/");
        set(
            &jar,
            here,
            "s=1; Max-Age=2; Expires=Thu, 01 Jan 2100 00:00:00 GMT",
        );
        set(&jar, here, "t=1; Expires=Thu, 01 Jan 1970 00:00:05 GMT");
        let at = |now| sent(&jar, CookieRequest { now, ..here });
        assert_eq!([at(2_999), at(3_000), at(5_000)], ["s=1; t=1", "t=1", ""]);
        set(&jar, here, "t=; Max-Age=0");
        assert_eq!(at(1_000), "s=1");
    }

    #[test]
    fn an_upstream_cannot_have_all_kept_that_it_sets() {
        let jar = Jar::default();
        let here = asked("a.test", "/");
        for at in 0..=COOKIES_MAX {
            set(&jar, here, &format!("c{at}=1"));
        }
        set(
            &jar,
            here,
            &format!("long={}", "x".repeat(COOKIE_BYTES_MAX)),
        );
        set(&jar, here, "c0=2");
        let cookies = sent(&jar, here);
        assert_eq!(cookies.split("; ").count(), COOKIES_MAX);
        assert!(cookies.contains("c0=2") && !cookies.contains("long"));
    }
}
