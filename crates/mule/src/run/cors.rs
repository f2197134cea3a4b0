//! A listener's answers to the scripts of other origins: preflights, and the fields of every other answer.
//!
//! An origin comes back in the answers to its own scripts; another origin's answers have no field. An `OPTIONS` request
//! with an origin never reaches a flow.

use fusebox_gateway::parts::Body;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONNECTION, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_TYPE, COOKIE, DNT, HOST, ORIGIN, PRAGMA, REFERER, TE, TRANSFER_ENCODING,
    UPGRADE_INSECURE_REQUESTS, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};

use crate::app::{Cors, Origin, Origins};

/// The fields that an answer to a script of another origin gets.
#[derive(Debug)]
pub struct Granted(HeaderMap);

impl Granted {
    /// Adds the fields to an answer; those of the flow do not count.
    pub fn add(self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

/// The answer to a preflight; `None`: the request is none.
pub fn preflight<B>(cors: &Cors, request: &Request<B>) -> Option<Response<Body>> {
    let headers = request.headers();
    let origin = headers.get(ORIGIN)?;
    if request.method() != Method::OPTIONS {
        return None;
    }
    let mut response = Response::new(Body::empty());
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
    let method = wanted.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    if let Some(granted) = asked(cors, origin, method, headers) {
        Granted(granted).add(response.headers_mut());
    }
    Some(response)
}

/// The fields for a preflight that is granted.
fn asked(
    cors: &Cors,
    origin: &HeaderValue,
    method: Option<Method>,
    headers: &HeaderMap,
) -> Option<HeaderMap> {
    let method = method?;
    let wanted: Vec<&str> = headers
        .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let mut granted = let_in(cors, origin);
    let (methods, names) = match &cors.origins {
        Origins::Public => (method.to_string(), wanted.join(", ")),
        Origins::These(origins) => {
            let rules = rules(origins, origin)?;
            let knows = |name: &&str| {
                let mut known = rules.headers.iter();
                known.any(|known| known.as_str().eq_ignore_ascii_case(name))
            };
            if !rules.methods.contains(&method) || !wanted.iter().all(knows) {
                return None;
            }
            granted.insert(ACCESS_CONTROL_MAX_AGE, rules.max_age.into());
            (
                joined(rules.methods.iter().map(Method::as_str)),
                joined(rules.headers.iter().map(HeaderName::as_str)),
            )
        }
    };
    for (name, list) in [
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, names),
    ] {
        if let (false, Ok(value)) = (list.is_empty(), HeaderValue::try_from(list)) {
            granted.insert(name, value);
        }
    }
    Some(granted)
}

/// The fields for the answer to a request that is no preflight.
pub fn granted(cors: &Cors, method: &Method, headers: &HeaderMap) -> Granted {
    let fields = headers.get(ORIGIN).and_then(|origin| {
        let mut fields = let_in(cors, origin);
        if let Origins::These(origins) = &cors.origins {
            let rules = rules(origins, origin)?;
            if !is_simple(method, headers) {
                if !rules.methods.contains(method) {
                    return None;
                }
                let exposed = joined(rules.exposed.iter().map(HeaderName::as_str));
                if let (false, Ok(exposed)) = (exposed.is_empty(), HeaderValue::try_from(exposed)) {
                    fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
                }
            }
        }
        Some(fields)
    });
    Granted(fields.unwrap_or_default())
}

/// The fields that every granted answer has.
fn let_in(cors: &Cors, origin: &HeaderValue) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    fields
}

/// The rules for an origin: its own, or else those for all others.
fn rules<'c>(origins: &'c [Origin], origin: &HeaderValue) -> Option<&'c Origin> {
    let find = |wanted: &[u8]| {
        let mut origins = origins.iter();
        origins.find(|it| it.url.as_bytes().eq_ignore_ascii_case(wanted))
    };
    find(origin.as_bytes()).or_else(|| find(b"*"))
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The fields that scripts send without asking before, or that are the client's own.
const SIMPLE: [HeaderName; 18] = [
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    DNT,
    HOST,
    ORIGIN,
    PRAGMA,
    REFERER,
    TE,
    TRANSFER_ENCODING,
    UPGRADE_INSECURE_REQUESTS,
    USER_AGENT,
];

/// The media types of bodies that scripts send without asking before.
const SIMPLE_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// True for a request that a script may make without a preflight. Its answer exposes nothing, as in Mule.
fn is_simple(method: &Method, headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let essence = text.split(';').next().unwrap_or_default().trim();
        essence.to_ascii_lowercase()
    });
    let simple = |name: &HeaderName| SIMPLE.contains(name) || name.as_str().starts_with("sec-");
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
        && media_type.is_none_or(|it| SIMPLE_TYPES.contains(&&*it))
        && headers.keys().all(simple)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Cors {
        let origin = |url: &str, methods: &[Method]| Origin {
            url: url.into(),
            max_age: 30,
            methods: methods.to_vec(),
            headers: vec![CONTENT_TYPE, HeaderName::from_static("x-tea")],
            exposed: vec![HeaderName::from_static("x-cup")],
        };
        Cors {
            credentials: false,
            origins: Origins::These(vec![
                origin("http://tea.example", &[Method::PUT, Method::GET]),
                origin("http://pot.example", &[Method::GET]),
            ]),
        }
    }

    fn asked(cors: &Cors, lines: &[(&str, &str)]) -> HeaderMap {
        let mut request = Request::builder().method("OPTIONS").uri("/");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let response = preflight(cors, &request.body(()).unwrap()).unwrap();
        assert_eq!(response.status(), 200);
        response.headers().clone()
    }

    fn answered(cors: &Cors, method: Method, lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        granted(cors, &method, &lines.collect()).add(&mut headers);
        headers
    }

    const TEA: (&str, &str) = ("origin", "http://tea.example");
    const PUT: (&str, &str) = ("access-control-request-method", "PUT");

    #[test]
    fn a_preflight_is_granted_by_the_rules_of_its_origin() {
        let asks = ("access-control-request-headers", "X-Tea, content-type");
        let granted = asked(&rules(), &[TEA, PUT, asks]);
        for (name, value) in [
            ("access-control-allow-origin", "http://tea.example"),
            ("access-control-allow-methods", "PUT, GET"),
            ("access-control-allow-headers", "content-type, x-tea"),
            ("access-control-max-age", "30"),
            ("vary", "Origin"),
        ] {
            assert_eq!(granted[name], value, "{name}");
        }
        let other = ("access-control-request-headers", "X-Other");
        for lines in [
            &[("origin", "http://else.example"), PUT][..],
            &[("origin", "http://pot.example"), PUT],
            &[TEA, PUT, other],
            &[TEA],
        ] {
            assert!(asked(&rules(), lines).is_empty(), "{lines:?}");
        }
    }

    #[test]
    fn a_public_resource_lets_every_origin_in() {
        let cors = Cors {
            credentials: true,
            origins: Origins::Public,
        };
        let asks = ("access-control-request-headers", "X-Any");
        let granted = asked(&cors, &[TEA, PUT, asks]);
        for (name, value) in [
            ("access-control-allow-origin", "http://tea.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-headers", "X-Any"),
        ] {
            assert_eq!(granted[name], value, "{name}");
        }
        let answered = answered(&cors, Method::DELETE, &[TEA]);
        assert_eq!(answered["access-control-allow-origin"], TEA.1);
    }

    #[test]
    fn an_answer_exposes_fields_where_a_script_had_to_ask_before() {
        let simple = answered(&rules(), Method::HEAD, &[TEA, ("accept", "*/*")]);
        assert_eq!(simple["access-control-allow-origin"], TEA.1);
        assert!(!simple.contains_key("access-control-expose-headers"));
        for (method, more) in [
            (Method::GET, ("x-custom", "1")),
            (Method::PUT, ("accept", "*/*")),
        ] {
            let answer = answered(&rules(), method, &[TEA, more]);
            assert_eq!(answer["access-control-expose-headers"], "x-cup");
        }
    }

    #[test]
    fn another_origin_s_answer_stays_as_it_is() {
        let kept = |method, lines| {
            let headers = answered(&rules(), method, lines);
            headers.len() == 1 && headers["access-control-allow-origin"] == "*"
        };
        assert!(kept(Method::GET, &[("origin", "http://else.example")]));
        assert!(kept(Method::DELETE, &[TEA]));
        assert!(kept(Method::GET, &[]));
    }

    #[test]
    fn only_a_request_for_options_with_an_origin_is_a_preflight() {
        for (method, origin) in [("GET", true), ("OPTIONS", false)] {
            let request = Request::builder().method(method).uri("/");
            let request = match origin {
                true => request.header(ORIGIN, TEA.1),
                false => request,
            };
            assert!(preflight(&rules(), &request.body(()).unwrap()).is_none());
        }
    }
}
