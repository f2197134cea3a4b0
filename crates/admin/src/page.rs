//! The dashboard at `/`: one page and its assets, which are part of the program.
//!
//! The page and its assets hold no data, so they need no token. A client that may read (no token is configured, or the
//! request carries one) gets the table of breakers in the page itself, as it is at that moment; see `rendered`.

use std::io::Write as _;
use std::sync::{LazyLock, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use http::{HeaderMap, StatusCode};

use crate::problem::Problem;

/// The page, with marks where a rendered one has its verdict, rows and note.
pub const INDEX: &str = include_str!("../page/index.html");

/// The folder of the assets, as a prefix of their paths.
pub const FOLDER: &str = "/page/";

/// Scripts and styles of this host alone, none inside the page; no forms elsewhere; no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! assets {
    ($($name:literal: $media_type:expr),* $(,)?) => {
        [$(($name, $media_type, include_bytes!(concat!("../page/", $name)) as &'static [u8])),*]
    };
}

/// The assets: name, media type, bytes.
const ASSETS: [(&str, &str, &[u8]); 13] = assets![
    "page.css": STYLE,
    "detail.css": STYLE,
    "main.js": SCRIPT,
    "live.js": SCRIPT,
    "model.js": SCRIPT,
    "verdict.js": SCRIPT,
    "words.js": SCRIPT,
    "dom.js": SCRIPT,
    "table.js": SCRIPT,
    "detail.js": SCRIPT,
    "plots.js": SCRIPT,
    "happened.js": SCRIPT,
    "actions.js": SCRIPT,
];

/// The assets as they are sent, made at the first request of one.
static SERVED: LazyLock<Vec<(&str, Served)>> = LazyLock::new(|| {
    let assets = ASSETS.iter();
    assets
        .map(|(name, media_type, bytes)| {
            (*name, Served::new(media_type, Bytes::from_static(bytes)))
        })
        .collect()
});

/// The names of the assets.
pub fn names() -> impl Iterator<Item = &'static str> {
    ASSETS.iter().map(|(name, ..)| *name)
}

/// A body with all that its answers need.
#[derive(Debug)]
pub struct Served {
    media_type: &'static str,
    etag: HeaderValue,
    plain: Bytes,
    /// The compressed body, made for the first client that takes it.
    gzip: OnceLock<Bytes>,
}

impl Served {
    /// A body whose tag is made of all of it.
    pub fn new(media_type: &'static str, plain: Bytes) -> Served {
        let etag = tag(&plain);
        Served {
            media_type,
            etag,
            plain,
            gzip: OnceLock::new(),
        }
    }

    /// The same with the tag made of `content`, for a body that says more than what a client asks again for.
    pub fn tagged(self, content: &[u8]) -> Served {
        let etag = tag(content);
        Served { etag, ..self }
    }

    /// The answer to a request with these fields: the body in an encoding that its client takes, or 304.
    pub fn answer(&self, request: &HeaderMap) -> Response {
        let fields = |media_type| -> [(HeaderName, HeaderValue); 6] {
            [
                (CONTENT_TYPE, HeaderValue::from_static(media_type)),
                (ETAG, self.etag.clone()),
                (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
                (
                    VARY,
                    HeaderValue::from_static("accept-encoding, authorization"),
                ),
                (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
                (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            ]
        };
        if is_known(request, &self.etag) {
            return (StatusCode::NOT_MODIFIED, fields(self.media_type)).into_response();
        }
        if takes_gzip(request) {
            let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            let gzip = self.gzip.get_or_init(|| compressed(&self.plain)).clone();
            return (encoding, fields(self.media_type), gzip).into_response();
        }
        (fields(self.media_type), self.plain.clone()).into_response()
    }
}

/// The tag of a content; weak, since both encodings have it.
fn tag(content: &[u8]) -> HeaderValue {
    let digest = digest(&SHA256, content);
    let digits: String = digest.as_ref()[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::try_from(format!("W/\"{digits}\"")).expect("hexadecimal digits are valid")
}

fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory takes all bytes");
    encoder.finish().expect("memory takes all bytes").into()
}

fn is_known(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let own = opaque(etag.to_str().unwrap_or_default());
    let values = request.get_all(IF_NONE_MATCH).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || opaque(tag) == own)
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(ACCEPT_ENCODING).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|it| it.eq_ignore_ascii_case("gzip"));
            is_gzip && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}

/// Answers `GET /page/{name}`.
pub async fn asset(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|error| Problem::bad_request(error.body_text()))?;
    let served = SERVED.iter().find(|(known, _)| *known == name);
    let (_, served) =
        served.ok_or_else(|| Problem::not_found(format!("unknown path {FOLDER}{name}")))?;
    Ok(served.answer(&headers))
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    fn request(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let fields = fields.iter().cloned();
        fields
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_page_and_its_assets_are_at_most_120_kib() {
        let assets: usize = ASSETS.iter().map(|(_, _, bytes)| bytes.len()).sum();
        assert!(
            INDEX.len() + assets <= 120 * 1024,
            "{}",
            INDEX.len() + assets
        );
    }

    #[test]
    fn every_asset_that_the_page_and_its_modules_name_is_served() {
        let all = ASSETS
            .iter()
            .filter(|(_, media_type, _)| *media_type == SCRIPT);
        let modules = all.map(|(_, _, bytes)| std::str::from_utf8(bytes).unwrap());
        let mut named = Vec::new();
        for text in modules.chain([INDEX]) {
            for (quote, prefix) in [('\'', "'./"), ('"', "\"/page/"), ('\'', "'/page/")] {
                named.extend(
                    text.split(prefix)
                        .skip(1)
                        .filter_map(|it| it.split(quote).next()),
                );
            }
        }
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            assert!(ASSETS.iter().any(|(known, _, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn a_known_tag_is_answered_304_and_gzip_goes_to_clients_that_take_it() {
        let served = Served::new(STYLE, Bytes::from_static(b"body{}"));
        let etag = served.etag.to_str().unwrap().to_owned();
        let status = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, tag.parse().unwrap());
            served.answer(&headers).status()
        };
        assert_eq!(status(&etag), StatusCode::NOT_MODIFIED);
        assert_eq!(
            status(&format!("\"a\", {}", &etag[2..])),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(status("*"), StatusCode::NOT_MODIFIED);
        assert_eq!(status("\"other\""), StatusCode::OK);
        for (takes, encoded) in [
            ("gzip, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("br", false),
        ] {
            let answer = served.answer(&request(&[(ACCEPT_ENCODING, takes)]));
            assert_eq!(
                answer.headers().contains_key(CONTENT_ENCODING),
                encoded,
                "{takes}"
            );
        }
    }
}
