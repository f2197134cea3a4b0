//! The REST trigger: a request becomes a handler's input, its results become the response.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fusebox_plan::flogo::{Map, Params};
use fusebox_plan::plan::Cors;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::canonical::canonical;
use super::handler::{self, LiveHandler};
use super::outlive::{Outliving, Surroundings};
use super::{content, reply, urlencoded};
use crate::answer;
use crate::body::Body;
use crate::exchange::{Exchange, Finish, done};
use crate::request_body::{ClientFault, IntakeLimits, RequestBody};

/// The largest body that is taken where the plan says nothing of it.
const BODY_MAX: u64 = 10 * 1024 * 1024;

/// Has a handler answer a request. The run goes on to its end also when the client leaves.
pub async fn serve(
    exchange: Exchange,
    handler: Arc<LiveHandler>,
    request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match buffered(&exchange, body).await {
        Ok(body) => body,
        Err(fault) => return done(finish, answer::client_failed(fault)),
    };
    let mut response = match payload(&exchange.params, &parts, body).await {
        Ok(output) => {
            let around = Surroundings {
                worker: exchange.client.worker.clone(),
                desk: exchange.desk.clone(),
                live: exchange.live.clone(),
            };
            let run = handler::run(handler, output, around);
            match Outliving::new(&exchange.client.worker, run).await {
                Ok(results) => reply::of_results(&results),
                Err(message) => reply::error(StatusCode::BAD_REQUEST, &message),
            }
        }
        Err(message) => reply::error(StatusCode::BAD_REQUEST, &message),
    };
    if let Some(cors) = cors(&exchange) {
        reply::mark(response.headers_mut(), cors);
    }
    done(finish, response)
}

fn cors(exchange: &Exchange) -> Option<&Cors> {
    let listener = exchange.live.listener(&exchange.client.listener)?;
    listener.cors()
}

/// Reads a body to its end, at the client's pace but no slower than the limits have it.
async fn buffered(exchange: &Exchange, body: Incoming) -> Result<Bytes, ClientFault> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let limits = &exchange.live.plan.limits;
    let size_max = limits.request_body_max.unwrap_or(BODY_MAX);
    if body.size_hint().lower() > size_max {
        return Err(ClientFault::TooLarge);
    }
    let limits = IntakeLimits {
        rate_min: limits.body_rate_min,
        size_max: Some(size_max),
    };
    let phase = exchange.client.phase.clone();
    let (mut body, intake) = RequestBody::new(body, phase, exchange.desk.clock.clone(), limits);
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| intake.fault().unwrap_or(ClientFault::Malformed))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // Most bodies come in one piece, which is then the body without a copy.
        if first.is_none() && more.is_empty() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            more.extend_from_slice(&first);
        }
        more.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| more.freeze()))
}

/// What the handler gets of a request.
async fn payload(params: &[(String, String)], parts: &Parts, body: Bytes) -> Result<Map, String> {
    let media_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let media_type = String::from_utf8_lossy(media_type.unwrap_or_default());
    let content = content::decode(&media_type, body).await?;
    let path_params: Params = params
        .iter()
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
        .collect();
    Ok(Map::from([
        ("content".into(), content),
        ("headers".into(), headers(&parts.headers).into()),
        ("method".into(), parts.method.as_str().into()),
        ("pathParams".into(), path_params.into()),
        ("queryParams".into(), query(parts.uri.query()).into()),
    ]))
}

/// The fields by their canonical names, the lines of one joined by `,`, without `Host`.
fn headers(headers: &HeaderMap) -> Params {
    let mut params = Params::new();
    for name in headers.keys().filter(|name| **name != HOST) {
        let mut lines = headers.get_all(name).iter();
        let first = lines.next().map(HeaderValue::as_bytes).unwrap_or_default();
        let mut text = String::from_utf8_lossy(first).into_owned();
        for line in lines {
            text.push(',');
            text.push_str(&String::from_utf8_lossy(line.as_bytes()));
        }
        params.insert(canonical(name), text.into());
    }
    params
}

/// The query's pairs, the values of one name joined by `,`; pairs that cannot be read are left out.
fn query(query: Option<&str>) -> Params {
    let mut params = Params::new();
    let pairs = urlencoded::pairs(query.unwrap_or_default());
    for (name, value) in pairs.filter_map(Result::ok) {
        let entry = params.entry(name.into());
        entry
            .and_modify(|known| *known = format!("{known},{value}").into())
            .or_insert_with(|| value.into());
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusebox_plan::flogo::Value;

    #[test]
    fn values_of_one_name_are_joined() {
        let mut map = HeaderMap::new();
        for (name, value) in [("x-two", "a"), ("host", "h"), ("x-two", "b")] {
            map.append(name, HeaderValue::from_static(value));
        }
        let shown = Value::from(headers(&map)).to_json_text().unwrap();
        assert_eq!(shown, r#"{"X-Two":"a,b"}"#);
        let shown = Value::from(query(Some("a=1&b&a=2&c=%zz"))).to_json_text();
        assert_eq!(shown.unwrap(), r#"{"a":"1,2","b":""}"#);
    }
}
