//! A service behind the gateway that does what a test tells it to: any bytes, at any time, and
//! no more. It counts what reaches it.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::waiting::{Dial, eventually};
use super::wire::{Ending, Fields, Wire};

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// The fields.
    pub fields: Fields,
    /// The connection that it came on, counted from 0.
    pub connection: usize,
}

/// A service on a port of its own; it ends with its connections when it is dropped.
pub struct Upstream {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<dyn Fn(&mut Call) + Send + Sync>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    in_flight: AtomicUsize,
    in_flight_most: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    /// The open connections by number, to be cut.
    sockets: Mutex<HashMap<usize, TcpStream>>,
}

impl Upstream {
    /// Serves every request by `script`, each connection on a thread of its own.
    pub fn start(script: impl Fn(&mut Call) + Send + Sync + 'static) -> Upstream {
        let addr = "127.0.0.1:0".parse().expect("an address");
        Upstream::at(addr, None, script)
    }

    /// The same behind TLS.
    pub fn start_tls(
        tls: Arc<ServerConfig>,
        script: impl Fn(&mut Call) + Send + Sync + 'static,
    ) -> Upstream {
        let addr = "127.0.0.1:0".parse().expect("an address");
        Upstream::at(addr, Some(tls), script)
    }

    /// Answers every request with the status that the dial shows.
    pub fn dialled(status: &Dial) -> Upstream {
        let status = status.clone();
        Upstream::start(move |call| {
            let status = u16::try_from(status.get()).expect("a status");
            call.respond(status, "from upstream");
        })
    }

    /// Serves on an address, such as one that an earlier upstream had.
    pub fn at(
        addr: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&mut Call) + Send + Sync + 'static,
    ) -> Upstream {
        let listener = TcpListener::bind(addr).expect("the upstream's address is free");
        let addr = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = Arc::new(State {
            script: Box::new(script),
            tls,
            stopped: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            in_flight_most: AtomicUsize::new(0),
            seen: Mutex::default(),
            sockets: Mutex::default(),
        });
        let shared = state.clone();
        std::thread::spawn(move || accept(&listener, &shared));
        Upstream { addr, state }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its URL, without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many requests have reached it.
    pub fn calls(&self) -> usize {
        self.seen().len()
    }

    /// How many connections have reached it.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// How many requests are being served now.
    pub fn in_flight(&self) -> usize {
        self.state.in_flight.load(Ordering::SeqCst)
    }

    /// How many requests were being served at once, at most.
    pub fn in_flight_most(&self) -> usize {
        self.state.in_flight_most.load(Ordering::SeqCst)
    }

    /// The requests that have reached it.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// The last request that has reached it.
    ///
    /// # Panics
    /// If there was none.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen()
            .pop()
            .expect("a request has reached the upstream")
    }

    /// Closes every connection that is open, idle or not, and goes on listening.
    pub fn cut_connections(&self) {
        for (_, socket) in lock(&self.state.sockets).drain() {
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    /// Stops listening and closes every connection: from now on connections are refused.
    pub fn stop(&self) {
        if self.state.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        // Wakes the accepting thread, which then lets go of the port.
        TcpStream::connect(self.addr).ok();
        self.cut_connections();
        eventually("the port is refused", || {
            TcpStream::connect(self.addr).is_err()
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for socket in listener.incoming() {
        if state.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(socket) = socket else { continue };
        let number = state.connections.fetch_add(1, Ordering::SeqCst);
        state.open.fetch_add(1, Ordering::SeqCst);
        if let Ok(handle) = socket.try_clone() {
            lock(&state.sockets).insert(number, handle);
        }
        let state = state.clone();
        std::thread::spawn(move || {
            // A connection that breaks is what many tests are about.
            serve(&state, socket, number).ok();
            lock(&state.sockets).remove(&number);
            state.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn serve(state: &Arc<State>, socket: TcpStream, connection: usize) -> io::Result<()> {
    let mut wire = match &state.tls {
        None => Wire::plain(socket)?,
        Some(tls) => {
            let session = ServerConnection::new(tls.clone()).map_err(io::Error::other)?;
            let stream = StreamOwned::new(session, socket.try_clone()?);
            Wire::over(stream, socket)?
        }
    };
    // An idle connection is the gateway's to end.
    wire.socket().set_read_timeout(None)?;
    while let Some(head) = wire.read_head()? {
        wire.socket().set_read_timeout(Some(super::PATIENCE))?;
        let mut words = head.start.splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let seen = Seen {
            method: word(),
            target: word(),
            version: word(),
            fields: head.fields,
            connection,
        };
        lock(&state.seen).push(seen.clone());
        let in_flight = state.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        state.in_flight_most.fetch_max(in_flight, Ordering::SeqCst);
        let mut call = Call {
            seen,
            wire: Some(wire),
            body_read: false,
            state: state.clone(),
        };
        (state.script)(&mut call);
        state.in_flight.fetch_sub(1, Ordering::SeqCst);
        let Some(kept) = call.leave() else {
            return Ok(());
        };
        wire = kept;
        wire.socket().set_read_timeout(None)?;
    }
    Ok(())
}

/// One request at the upstream, and the connection that it came on.
pub struct Call {
    /// The request.
    pub seen: Seen,
    /// `None`: the script has ended the connection.
    wire: Option<Wire>,
    body_read: bool,
    state: Arc<State>,
}

impl Call {
    /// Reads the request's body; empty where it breaks off.
    pub fn body(&mut self) -> Vec<u8> {
        self.body_and_trailers().0
    }

    /// Reads the request's body as text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    /// Reads the request's body and its trailers.
    pub fn body_and_trailers(&mut self) -> (Vec<u8>, Fields) {
        self.body_read = true;
        let fields = self.seen.fields.clone();
        let Some(wire) = &mut self.wire else {
            return Default::default();
        };
        wire.read_body(&fields, false).unwrap_or_default()
    }

    /// Reads the request's body, then answers with a status and a body of known length.
    pub fn respond(&mut self, status: u16, body: &str) {
        self.respond_with(status, "", body);
    }

    /// The same with more fields, each ended with `\r\n`.
    pub fn respond_with(&mut self, status: u16, lines: &str, body: &str) {
        if !self.body_read {
            self.body();
        }
        let length = if matches!(status, 204 | 304) {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let body = if self.seen.method == "HEAD" { "" } else { body };
        self.send(format!(
            "HTTP/1.1 {status} Status\r\n{lines}{length}\r\n{body}"
        ));
    }

    /// Sends bytes as they stand; says whether they could be sent.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire
            .as_mut()
            .is_some_and(|wire| wire.send(bytes).is_ok())
    }

    /// The connection, to be read by hand.
    ///
    /// # Panics
    /// If the script has ended it.
    pub fn wire(&mut self) -> &mut Wire {
        self.body_read = true;
        self.wire
            .as_mut()
            .expect("the script has not ended the connection")
    }

    /// Waits until the gateway ends the connection, then gives up on it.
    pub fn hang(&mut self) -> Option<Ending> {
        let mut wire = self.wire.take()?;
        wire.read_to_end().ok().map(|(_, ending)| ending)
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.close();
        }
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        if let Some(wire) = self.wire.take() {
            // A second handle to the socket would keep it open.
            lock(&self.state.sockets).remove(&self.seen.connection);
            wire.reset();
        }
    }

    /// Gives the connection on to the next request, unless the script has ended it.
    fn leave(mut self) -> Option<Wire> {
        if self.wire.is_some() && !self.body_read {
            self.body();
        }
        self.wire
    }
}

/// An address that refuses every connection, and that nobody else gets.
pub struct Refusing(socket2::Socket);

impl Refusing {
    /// Takes a free port without listening on it.
    pub fn new() -> Refusing {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        socket.bind(&any.into()).expect("a free port");
        Refusing(socket)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let addr = self.0.local_addr().ok().and_then(|addr| addr.as_socket());
        format!("http://{}", addr.expect("a bound socket has an address"))
    }
}

/// A listener whose queue of connections is full and never emptied, so that connecting takes for ever.
pub struct Backlogged {
    listener: socket2::Socket,
    _queued: Vec<TcpStream>,
}

impl Backlogged {
    /// Listens on a free port and fills its queue.
    pub fn new() -> Backlogged {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        listener.bind(&any.into()).expect("a free port");
        listener.listen(0).expect("it listens");
        let backlogged = Backlogged {
            listener,
            _queued: Vec::new(),
        };
        let wait = Duration::from_millis(300);
        let connect = || TcpStream::connect_timeout(&backlogged.addr(), wait).ok();
        let queued = std::iter::from_fn(connect).collect();
        Backlogged {
            _queued: queued,
            ..backlogged
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    fn addr(&self) -> SocketAddr {
        let addr = self
            .listener
            .local_addr()
            .ok()
            .and_then(|addr| addr.as_socket());
        addr.expect("a bound socket has an address")
    }
}
