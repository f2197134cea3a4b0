//! The cookies that upstreams set: kept, and sent again (RFC 6265).

use std::sync::{Mutex, PoisonError};

use cookie_store::CookieStore;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use url::Url;

/// How many cookies are kept at most, and how long one may be: more than RFC 6265, section 6.1, asks
/// of a client, and no more than a hostile upstream should be able to have kept.
const COOKIES_MAX: usize = 200;
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies of one configuration, whatever the worker.
#[derive(Debug, Default)]
pub struct Jar(Mutex<CookieStore>);

impl Jar {
    /// What `Cookie` says in a request to a URL; `None`: nothing.
    pub fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        let store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, value) in store.get_request_values(url) {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        // What cannot be a field's value cannot have come in one.
        HeaderValue::from_str(&text)
            .ok()
            .filter(|it| !it.is_empty())
    }

    /// Keeps what an answer to a request for a URL sets; what no client would keep is left.
    pub fn keep(&self, url: &Url, fields: &HeaderMap) {
        for cookie in fields.get_all(SET_COOKIE) {
            let Ok(text) = cookie.to_str() else { continue };
            if text.len() > COOKIE_BYTES_MAX {
                continue;
            }
            let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let full = store.iter_unexpired().count() >= COOKIES_MAX;
            let known = text.split_once('=').is_some_and(|(name, _)| {
                store
                    .iter_unexpired()
                    .any(|cookie| cookie.name() == name.trim())
            });
            if !full || known {
                // One that is none, or is not this server's to set, is no fault of the call.
                store.parse(text, url).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn set(jar: &Jar, at: &str, cookie: &str) {
        let mut fields = HeaderMap::new();
        fields.insert(SET_COOKIE, cookie.parse().unwrap());
        jar.keep(&url(at), &fields);
    }

    #[test]
    fn a_cookie_comes_back_where_it_belongs() {
        let jar = Jar::default();
        set(&jar, "http://a/x/y", "s=1; Path=/x");
        set(&jar, "http://a/", "t=2; Secure");
        set(&jar, "http://a/", "u=3; Domain=b");
        assert_eq!(jar.cookies(&url("http://a/x/z")).unwrap(), "s=1");
        assert_eq!(jar.cookies(&url("http://a/other")), None);
        assert_eq!(jar.cookies(&url("http://b/x")), None);
        set(&jar, "http://a/x/y", "s=; Path=/x; Max-Age=0");
        assert_eq!(jar.cookies(&url("http://a/x/z")), None);
    }

    #[test]
    fn an_upstream_cannot_have_all_kept_that_it_sets() {
        let jar = Jar::default();
        for at in 0..=COOKIES_MAX {
            set(&jar, "http://a/", &format!("c{at}=1"));
        }
        set(
            &jar,
            "http://a/",
            &format!("long={}", "x".repeat(COOKIE_BYTES_MAX)),
        );
        set(&jar, "http://a/", "c0=2");
        let cookies = jar.cookies(&url("http://a/")).unwrap();
        let cookies = cookies.to_str().unwrap();
        assert_eq!(cookies.split("; ").count(), COOKIES_MAX);
        assert!(cookies.contains("c0=2") && !cookies.contains("long"));
    }
}
