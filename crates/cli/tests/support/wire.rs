//! HTTP/1.1 as bytes on a socket, read and written by hand: what a library would tidy up, a test
//! must be able to send and to see.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::waiting::PATIENCE;

/// The fields of a head, in order, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of a field, by any case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.0.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.0
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Whether there is such a field.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// A response, its body read to the end.
#[derive(Debug, Clone)]
pub struct Response {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailers: Fields,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.text()),
        }
    }
}

/// How a peer ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It closed its side.
    Closed,
    /// It reset the connection.
    Reset,
}

/// A start line and fields.
#[derive(Debug, Clone)]
pub struct Head {
    /// The first line, without its end.
    pub start: String,
    /// The fields.
    pub fields: Fields,
}

trait Transport: Read + Write + Send {}
impl<T: Read + Write + Send> Transport for T {}

/// One end of a connection that speaks HTTP/1.1.
pub struct Wire {
    stream: Box<dyn Transport>,
    /// The socket beneath, to be cut.
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// A wire over a plain socket.
    pub fn plain(socket: TcpStream) -> io::Result<Wire> {
        let stream = socket.try_clone()?;
        Wire::over(stream, socket)
    }

    /// A wire over any stream that runs on `socket`, such as TLS.
    pub fn over(stream: impl Read + Write + Send + 'static, socket: TcpStream) -> io::Result<Wire> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Wire {
            stream: Box::new(stream),
            socket,
            buffer: Vec::new(),
        })
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Has the system keep little of what has come and is not read yet: it may keep 32 MiB else.
    pub fn keep_little(&self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_recv_buffer_size(128 * 1024).ok();
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// If the peer is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Reads what comes next, at least a byte; nothing: the peer has closed.
    ///
    /// # Errors
    /// If the connection was reset, or nothing comes for [`PATIENCE`].
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if !self.buffer.is_empty() {
            return Ok(std::mem::take(&mut self.buffer));
        }
        let mut bytes = vec![0; 64 * 1024];
        let read = uninterrupted(|| self.stream.read(&mut bytes))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// What has been read and not yet asked for.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let read = uninterrupted(|| self.stream.read(&mut bytes))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(())
    }

    /// Reads exactly `length` bytes.
    ///
    /// # Errors
    /// If they do not come.
    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads a line, without its end.
    ///
    /// # Errors
    /// If it does not come.
    pub fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.read_exactly(end + 2)?;
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill()?;
        }
    }

    /// Reads a head; `None`: the peer closed before it began.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        if self.buffer.is_empty() {
            match self.fill() {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            }
        }
        let start = self.read_line()?;
        let fields = self.read_fields()?;
        Ok(Some(Head { start, fields }))
    }

    fn read_fields(&mut self) -> io::Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(Fields(fields));
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads a chunk; empty: it was the last one, and the trailers come next.
    ///
    /// # Errors
    /// If it breaks off or is none.
    pub fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.read_line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk {line:?}")))?;
        let data = self.read_exactly(size)?;
        if size > 0 {
            self.read_exactly(2)?;
        }
        Ok(data)
    }

    /// Reads a body as its head frames it, and its trailers. `until_close`: where the head says
    /// nothing, the body ends with the connection.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn read_body(
        &mut self,
        fields: &Fields,
        until_close: bool,
    ) -> io::Result<(Vec<u8>, Fields)> {
        if fields
            .get("transfer-encoding")
            .is_some_and(|coding| coding.ends_with("chunked"))
        {
            let mut body = Vec::new();
            loop {
                let chunk = self.read_chunk()?;
                if chunk.is_empty() {
                    return Ok((body, self.read_fields()?));
                }
                body.extend(chunk);
            }
        }
        if let Some(length) = fields.get("content-length") {
            let length = length
                .parse()
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "Content-Length"))?;
            return Ok((self.read_exactly(length)?, Fields::default()));
        }
        if until_close {
            return Ok((self.read_to_end()?.0, Fields::default()));
        }
        Ok((Vec::new(), Fields::default()))
    }

    /// Reads until the peer ends the connection.
    ///
    /// # Errors
    /// If it stays open for [`PATIENCE`].
    pub fn read_to_end(&mut self) -> io::Result<(Vec<u8>, Ending)> {
        let mut all = std::mem::take(&mut self.buffer);
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match uninterrupted(|| self.stream.read(&mut bytes)) {
                Ok(0) => return Ok((all, Ending::Closed)),
                Ok(read) => all.extend_from_slice(&bytes[..read]),
                Err(error) if is_timeout(&error) => return Err(error),
                Err(_) => return Ok((all, Ending::Reset)),
            }
        }
    }

    /// Reads and forgets until the peer ends the connection; gives how many bytes came.
    ///
    /// # Errors
    /// If it stays silent and open for [`PATIENCE`].
    pub fn sink(&mut self) -> io::Result<u64> {
        let mut count = std::mem::take(&mut self.buffer).len() as u64;
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match uninterrupted(|| self.stream.read(&mut bytes)) {
                Ok(0) => return Ok(count),
                Ok(read) => count += read as u64,
                Err(error) if is_timeout(&error) => return Err(error),
                Err(_) => return Ok(count),
            }
        }
    }

    /// Reads and forgets exactly `length` bytes.
    ///
    /// # Errors
    /// If they do not come.
    pub fn skip(&mut self, length: u64) -> io::Result<()> {
        let have = (self.buffer.len() as u64).min(length);
        self.buffer
            .drain(..usize::try_from(have).expect("within the buffer"));
        let mut left = length - have;
        let mut bytes = vec![0; 64 * 1024];
        while left > 0 {
            let want = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = uninterrupted(|| self.stream.read(&mut bytes[..want]))?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read as u64;
        }
        Ok(())
    }

    /// Closes the sending side.
    pub fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).ok();
    }

    /// Closes both sides.
    pub fn close(&self) {
        self.socket.shutdown(Shutdown::Both).ok();
    }

    /// Ends the connection with a reset: the peer's next read or write fails.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).ok();
        // The socket is closed, and so reset, with the last handle to it.
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// A client with one connection. Its plain methods panic where the connection breaks: a test that
/// expects that asks the [`Wire`].
pub struct Client {
    /// The connection.
    pub wire: Wire,
    /// What its requests say in `Host`.
    pub host: String,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    #[track_caller]
    pub fn to(addr: SocketAddr) -> Client {
        let socket = TcpStream::connect_timeout(&addr, PATIENCE).expect("the gateway listens");
        Client {
            wire: Wire::plain(socket).expect("a socket that was just connected"),
            host: "gateway.test".into(),
        }
    }

    /// Sends bytes as they stand.
    ///
    /// # Panics
    /// If the peer is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.send(bytes).expect("the peer takes what is sent");
    }

    /// Sends a request and reads its response. `lines` are fields, each ended with `\r\n`.
    ///
    /// # Panics
    /// If the connection breaks.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, lines: &str, body: &str) -> Response {
        let length = if body.is_empty() && matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS") {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let host = &self.host;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}{length}\r\n");
        self.send(head + body);
        self.response_to(method)
    }

    /// `GET`.
    ///
    /// # Panics
    /// If the connection breaks.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, "", "")
    }

    /// `POST`.
    ///
    /// # Panics
    /// If the connection breaks.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: &str) -> Response {
        self.request("POST", path, "", body)
    }

    /// Reads a response with its body.
    ///
    /// # Panics
    /// If the connection breaks.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the response to a method: one to `HEAD` has no body.
    ///
    /// # Panics
    /// If the connection breaks.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        match self.try_response_to(method) {
            Ok(Some(response)) => response,
            Ok(None) => panic!("the connection was closed without a response"),
            Err(error) => panic!("no whole response: {error}"),
        }
    }

    /// Reads a response; `None`: the connection was closed instead.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn try_response_to(&mut self, method: &str) -> io::Result<Option<Response>> {
        let Some(mut response) = self.read_head()? else {
            return Ok(None);
        };
        let empty = method == "HEAD" || matches!(response.status, 100..=199 | 204 | 304);
        if !empty {
            (response.body, response.trailers) = self.wire.read_body(&response.fields, true)?;
        }
        Ok(Some(response))
    }

    /// Reads a response's head alone; its body is the caller's to read.
    ///
    /// # Panics
    /// If the connection breaks.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        match self.read_head() {
            Ok(Some(response)) => response,
            Ok(None) => panic!("the connection was closed without a response"),
            Err(error) => panic!("no whole head: {error}"),
        }
    }

    fn read_head(&mut self) -> io::Result<Option<Response>> {
        let Some(head) = self.wire.read_head()? else {
            return Ok(None);
        };
        let mut words = head.start.split(' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("status line {:?}", head.start),
            )
        })?;
        Ok(Some(Response {
            version,
            status,
            fields: head.fields,
            body: Vec::new(),
            trailers: Fields::default(),
        }))
    }

    /// Waits until the peer ends the connection, and gives what it sent before.
    ///
    /// # Panics
    /// If it stays open.
    #[track_caller]
    pub fn ended(&mut self) -> (Vec<u8>, Ending) {
        self.wire
            .read_to_end()
            .expect("the peer ends the connection")
    }
}

/// Reads again where a signal came in between, such as the one that lets a stopped process go on.
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
