//! Redirects: the next request that an answer leads to, and the parts that it takes over (RFC 9110, section 15.4).

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, REFERER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use fusebox_plan::plan::Endpoint;

use crate::message::location;
use crate::upstream::fetch::Outbound;

/// A client's rules for redirects. Clients differ in them, and applications depend on theirs.
#[derive(Debug)]
pub struct Redirects {
    /// The most redirects that are followed.
    pub most: usize,
    /// True if a request of that method becomes a GET without a body at that status, one of 301, 302 and 303.
    pub becomes_get: fn(&Method, StatusCode) -> bool,
    /// True if credentials of a request to the first endpoint go to the second one too.
    pub keeps_secrets: fn(&Endpoint, &Endpoint) -> bool,
    /// Sends `Referer`, but never a TLS URL over a plain connection.
    pub tells_referer: bool,
}

/// A `Location` that cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLocation {
    /// The field's value; bytes that are not UTF-8 are replaced.
    pub location: String,
    pub why: String,
}

impl Redirects {
    /// The request that an answer leads to; `None`: the answer is not a redirect.
    ///
    /// # Errors
    /// If its `Location` cannot be followed.
    pub fn next(
        &self,
        asked: &Outbound,
        status: StatusCode,
        answer: &HeaderMap,
    ) -> Option<Result<Outbound, BadLocation>> {
        let becomes_get = match status.as_u16() {
            301..=303 => (self.becomes_get)(&asked.method, status),
            307 | 308 => false,
            _ => return None,
        };
        let location = answer.get(LOCATION)?;
        Some(self.follow(asked, location, becomes_get))
    }

    fn follow(
        &self,
        asked: &Outbound,
        location: &HeaderValue,
        becomes_get: bool,
    ) -> Result<Outbound, BadLocation> {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        let resolved = location::resolve(&asked.endpoint, &asked.target, &location);
        let (endpoint, target) = match resolved {
            Ok(resolved) => resolved,
            Err(why) => return Err(BadLocation { location, why }),
        };
        let mut headers = asked.headers.clone();
        headers.remove(HOST);
        if !(self.keeps_secrets)(&asked.endpoint, &endpoint) {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
        }
        if self.tells_referer
            && (!asked.endpoint.tls || endpoint.tls)
            && let Ok(referer) = HeaderValue::from_str(&asked.url())
        {
            headers.insert(REFERER, referer);
        }
        let (mut method, mut body) = (asked.method.clone(), asked.body.clone());
        if becomes_get {
            headers.remove(CONTENT_TYPE);
            (method, body) = (Method::GET, None);
        }
        Ok(Outbound {
            method,
            endpoint,
            target,
            headers,
            body,
        })
    }
}
