//! The REST trigger: converts a request to a handler's input, and the results to the response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_gateway::parts::{
    Body, Exchange, Finish, Outliving, UpstreamError, answer, done, whole_body,
};
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::build::LiveApp;
use super::canonical::canonical;
use super::channels::RunContext;
use super::handler::{self, LiveHandler};
use super::{content, reply};
use crate::language::urlencoded;
use crate::{Map, Params};

/// The longest time for which a run continues after its client has left.
const WITHOUT_CLIENT: Duration = Duration::from_secs(300);

/// Answers a request by a handler. The run continues to its end even if the client leaves.
pub async fn serve(
    app: Arc<LiveApp>,
    handler: Arc<LiveHandler>,
    exchange: Exchange,
    request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match whole_body::read(&exchange, body).await {
        Ok(body) => body,
        Err(fault) => {
            exchange.debug("request refused", UpstreamError::client(fault).word);
            return done(finish, answer::client_failed(fault));
        }
    };
    let mut response = match payload(&exchange.params, &parts, body).await {
        Ok(output) => {
            let context = RunContext {
                worker: exchange.downstream.worker.clone(),
                worker_ref: exchange.worker.clone(),
                app: app.clone(),
            };
            let run = handler::run(handler, output, context);
            match Outliving::new(&exchange.downstream.worker, run, WITHOUT_CLIENT).await {
                Ok(results) => reply::of_results(&results),
                Err(message) => reply::error(StatusCode::BAD_REQUEST, &message),
            }
        }
        Err(message) => reply::error(StatusCode::BAD_REQUEST, &message),
    };
    reply::add_cors(response.headers_mut(), &app.cors);
    done(finish, response)
}

/// The handler's input from a request.
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

/// The fields by their canonical names, repeated fields joined by `,`, without `Host`.
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

/// The query's pairs, repeated names joined by `,`; malformed pairs are ignored.
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
    use crate::Value;

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
