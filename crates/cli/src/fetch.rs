//! Fetches a part of a configuration from an `http://` address, blocking the caller.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use fusebox_plan::plan::Endpoint;
use http::header::{ACCEPT, CONNECTION, HOST, LOCATION};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The time limit from the name lookup to the last byte.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The largest text that is accepted, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// Fetches the text at an address.
///
/// # Errors
/// If the connection fails, the status is not 200, the text is too long, too slow or not UTF-8.
pub fn fetch(url: &str) -> io::Result<String> {
    let uri: Uri = url.parse().map_err(io::Error::other)?;
    // On a thread of its own, because the caller may be inside a runtime, which cannot wait for another.
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                tokio::time::timeout(TIME_MAX, get(&uri))
                    .await
                    .unwrap_or_else(|_| Err(io::Error::other("it did not answer within 10 s")))
            })
        });
        fetching
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("fetching it panicked")))
    })
}

async fn get(uri: &Uri) -> io::Result<String> {
    let authority = uri
        .authority()
        .ok_or_else(|| io::Error::other("the address has no host"))?;
    let port = Endpoint::port_of(authority, false)
        .ok_or_else(|| io::Error::other("the port is not from 1 to 65535"))?;
    let host = authority.host().trim_matches(['[', ']']);
    let socket = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(io::Error::other)?;
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .header(ACCEPT, "application/json, */*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let status = answer.status();
    if status != StatusCode::OK {
        let to = answer.headers().get(LOCATION);
        let to = to.and_then(|to| to.to_str().ok());
        let to = to.map_or_else(String::new, |to| format!(" with a redirect to {to}"));
        return Err(io::Error::other(format!("it answered {status}{to}")));
    }
    let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
    let body = body.map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(body.to_bytes().into())
        .map_err(|_| io::Error::other("its answer is not UTF-8 text"))
}
