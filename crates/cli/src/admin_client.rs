//! A client of a running gateway's admin API.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::args::AdminArgs;
use crate::args::admin_addr::unix_path;
use crate::printable::printable;

/// The largest answer that is accepted, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// The largest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// A client of one gateway's admin API.
#[derive(Debug)]
pub struct AdminClient {
    place: Place,
    token: Option<String>,
}

/// The place of an admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The host and port of a URL.
    Authority(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A connection to an admin API.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl AdminClient {
    /// Makes a client for the gateway of the options.
    ///
    /// # Errors
    /// If the address is invalid, or the token file cannot be read.
    pub fn new(args: &AdminArgs) -> anyhow::Result<AdminClient> {
        let token = args.token_file.as_deref().map(read_token).transpose()?;
        let place = Place::read(&args.admin)?;
        Ok(AdminClient { place, token })
    }

    /// The gateway's address, for messages.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Authority(authority) => authority.clone(),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Sends a GET request, and returns the answer's JSON.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Sends a POST request, and returns the answer's JSON.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Sends a GET request, and returns the answer's status and text, whatever they are.
    pub async fn status(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let (status, body) = self.exchange(Method::GET, path, None).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, body) = self.exchange(method, path, body).await?;
        let answer: Value = serde_json::from_slice(&body)
            .with_context(|| format!("{} answered with invalid JSON ({status})", self.place()))?;
        if status.is_success() {
            return Ok(answer);
        }
        if status == StatusCode::UNAUTHORIZED {
            match self.token {
                None => bail!(
                    "the gateway requires its admin token; name the file that contains it with --token-file"
                ),
                Some(_) => bail!("the token in the --token-file is not the gateway's admin token"),
            }
        }
        match answer["detail"].as_str() {
            Some(detail) => bail!("{status}: {}", printable(detail)),
            None => bail!("{status}"),
        }
    }

    /// Sends a request on a connection of its own, and reads the whole answer.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let response = self.open(method, path, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| anyhow!("the gateway's answer was cut off: {error}"))?;
        Ok((status, body.to_bytes()))
    }

    /// Sends a request on a connection of its own, and returns the answer once its head has come.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let stream = self.connect().await.with_context(|| {
            format!(
                "no gateway answers at {}; is it running, with its admin API on?",
                self.place()
            )
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let host = match &self.place {
            Place::Authority(authority) => authority,
            Place::Unix(_) => "localhost",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(CONNECTION, "close");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        Ok(sender.send_request(request.body(Full::new(bytes))?).await?)
    }

    async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(match &self.place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Authority(authority) if authority.contains(':') => {
                Box::new(TcpStream::connect(authority).await?)
            }
            Place::Authority(host) => Box::new(TcpStream::connect((host.as_str(), 80)).await?),
        })
    }
}

impl Place {
    /// Reads `--admin`: a URL, `HOST:PORT` or `unix:PATH`.
    fn read(admin: &str) -> anyhow::Result<Place> {
        if let Some(path) = unix_path(admin) {
            return Ok(Place::Unix(path));
        }
        if admin.starts_with("unix:") {
            bail!("--admin {admin}: expected a path after `unix:`");
        }
        let text = if admin.contains("://") {
            admin.to_owned()
        } else {
            format!("http://{admin}")
        };
        let uri: Uri = text
            .parse()
            .with_context(|| format!("--admin {text} is not a URL"))?;
        let authority = uri
            .authority()
            .ok_or_else(|| anyhow!("--admin {text} has no host"))?;
        if uri.scheme_str() != Some("http") {
            bail!(
                "--admin {text}: expected an http:// URL such as http://127.0.0.1:9900, or unix:PATH"
            );
        }
        Ok(Place::Authority(authority.to_string()))
    }
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = crate::bounded::text(path, TOKEN_BYTES_MAX)
        .with_context(|| format!("cannot read the token in {}", path.display()))?;
    let token = text.trim();
    // Checked here, because an error about the header's value would not name the file.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "{}: invalid token; expected one word of printable ASCII",
            path.display()
        );
    }
    Ok(token.to_owned())
}

/// Percent-encodes a name as one segment of a path.
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte as char);
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_url_a_host_or_a_socket() {
        let host = |text: &str| Place::Authority(text.to_owned());
        for (admin, place) in [
            ("http://127.0.0.1:9900", host("127.0.0.1:9900")),
            ("127.0.0.1:9900", host("127.0.0.1:9900")),
            ("http://fusebox/", host("fusebox")),
            (
                "unix:/run/fusebox.sock",
                Place::Unix("/run/fusebox.sock".into()),
            ),
            ("unix:a.sock", Place::Unix("a.sock".into())),
        ] {
            assert_eq!(Place::read(admin).unwrap(), place, "{admin}");
        }
        for admin in ["https://127.0.0.1", "unix:", "a b"] {
            assert!(Place::read(admin).is_err(), "{admin}");
        }
    }

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(encode("orders/a b,é"), "orders%2Fa%20b%2C%C3%A9");
    }
}
