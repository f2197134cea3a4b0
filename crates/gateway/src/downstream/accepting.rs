//! A worker's thread: accepts connections on its sockets until it is drained.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::downstream::connection;
use crate::downstream::handshake;
use crate::downstream::http2;
use crate::ground::closing::Closing;
use crate::ground::listen::{BACKLOG, ListenerKey};
use crate::live::shared::Shared;
use crate::request::answer;
use crate::request::downstream::Protocol;
use crate::request::linger;
use crate::request::worker::{Drained, Worker};

/// The pause in accepting while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Number of such pauses in a row for one log line: a line every 10 s.
const ACCEPT_SAID_EVERY: u32 = 200;

/// The most bytes read from a client that is turned away at once.
const READ_AT_ONCE: u64 = 64 << 10;

/// A command of the gateway to a worker.
#[derive(Debug)]
pub enum Command {
    /// Accept on a socket, for the listener of this key.
    Listen(ListenerKey, StdListener),
    /// Stop accepting for that listener, and let its connections finish the requests in flight. The sender is dropped
    /// once the socket is closed.
    Close(ListenerKey, std::sync::mpsc::Sender<()>),
    /// Stop accepting, let the requests in flight finish within the time, then report and end.
    Drain(Duration, oneshot::Sender<Drained>),
}

/// Starts a worker's thread; it ends when it has drained.
///
/// # Errors
/// If the system refuses a thread or a runtime.
pub fn start(
    index: usize,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let worker = shared.worker(index);
    std::thread::Builder::new()
        .name(format!("fusebox-{index}"))
        .spawn(move || {
            let pulse = shared.clone();
            runtime.spawn(async move { pulse.pulses.of(index).beat().await });
            runtime.block_on(obey(shared.clone(), worker, commands));
            // Connections still open are cut; their time is over.
            runtime.shutdown_background();
            shared.pulses.of(index).end();
        })
}

async fn obey(
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let mut listening: HashMap<ListenerKey, Listening> = HashMap::new();
    loop {
        match commands.recv().await {
            Some(Command::Listen(key, socket)) => {
                match Listening::begin(&shared, &worker, key.clone(), socket) {
                    Ok(begun) => {
                        listening.insert(key, begun);
                    }
                    Err(error) => {
                        tracing::error!(listener = ?key, %error, "a socket could not be used")
                    }
                }
            }
            Some(Command::Close(key, closed)) => {
                if let Some(listening) = listening.remove(&key) {
                    listening.end().await;
                }
                drop(closed);
            }
            Some(Command::Drain(limit, done)) => {
                for (_, listening) in listening.drain() {
                    listening.end().await;
                }
                let drained = worker.wait_until_empty(limit).await;
                // The gateway may have stopped waiting; the worker ends all the same.
                done.send(drained).ok();
                return;
            }
            None => return,
        }
    }
}

/// A socket on which connections are accepted.
struct Listening {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
    closing: Arc<Closing>,
}

impl Listening {
    fn begin(
        shared: &Arc<Shared>,
        worker: &Arc<Worker>,
        key: ListenerKey,
        socket: StdListener,
    ) -> io::Result<Listening> {
        let entrance = Entrance {
            shared: shared.clone(),
            worker: worker.clone(),
            key,
            closing: Arc::default(),
        };
        let closing = entrance.closing.clone();
        let socket = TcpListener::from_std(socket)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(entrance.accept(socket, stopped));
        Ok(Listening {
            stop,
            task,
            closing,
        })
    }

    /// Takes over the connections that the kernel has queued, stops accepting, and signals all of the listener's
    /// connections to finish.
    async fn end(self) {
        self.stop.send(()).ok();
        self.task.await.ok();
        self.closing.begin();
    }
}

/// The listener's side of a socket: takes over each accepted connection.
struct Entrance {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    key: ListenerKey,
    closing: Arc<Closing>,
}

impl Entrance {
    async fn accept(self, socket: TcpListener, mut stopped: oneshot::Receiver<()>) {
        let mut failed = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut stopped => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failed = 0;
                    self.take(stream, peer);
                }
                Err(error) if died_in_the_queue(&error) => {}
                // A lack of descriptors passes only with time.
                Err(error) => {
                    if failed % ACCEPT_SAID_EVERY == 0 {
                        tracing::warn!(%error, "no connection could be accepted");
                    }
                    failed += 1;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        self.take_queued(socket);
    }

    /// Takes over the connections that the kernel accepted for us, which would be lost with the socket. The kernel is
    /// asked directly, since the runtime may not know of them yet.
    fn take_queued(&self, socket: TcpListener) {
        let Ok(socket) = socket.into_std() else {
            return;
        };
        for _ in 0..BACKLOG {
            match socket.accept() {
                Ok((stream, peer)) => {
                    let stream = stream.set_nonblocking(true).map(|()| stream);
                    if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                        self.take(stream, peer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A connection that died in the queue.
                Err(_) => {}
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let worker = self.worker.clone();
        let token = worker.task_token();
        let limit = self.shared.live.load().plan.limits.connections_max;
        let Some(slot) = self.shared.slots.take(&self.key, limit) else {
            worker.meter().connections_refused.add();
            tracing::debug!(%peer, limit, reason = "connections_full", "connection refused");
            let live = self.shared.plan_for(&self.key);
            if live.listener(&self.key).is_some_and(|it| it.tls.is_some()) {
                // A plain answer would look like a fault of TLS, and a handshake costs more than the flood.
                return;
            }
            // Only a limited number of refusals is delivered in an orderly way. The other connections are answered
            // and closed at once, so that a flood over the limit does not use up descriptors after all.
            match worker.turning_away.clone().try_acquire_owned() {
                Ok(permit) => {
                    tokio::spawn(async move {
                        turn_away(stream).await;
                        drop((permit, token));
                    });
                }
                Err(_) => turn_away_at_once(stream),
            }
            return;
        };
        worker.meter().connections.add();
        let (shared, key, closing) = (self.shared.clone(), self.key.clone(), self.closing.clone());
        tokio::spawn(async move {
            let secured = handshake::secured(&shared, &worker, &key, stream, peer, &closing);
            match secured.await {
                Some((stream, Protocol::Http1)) => {
                    connection::serve(shared, worker, key, stream, peer, slot, closing).await;
                }
                Some((stream, Protocol::Http2)) => {
                    // In a place of its own: most connections are none of HTTP/2.
                    let served = http2::serve(shared, worker, key, stream, peer, slot, closing);
                    Box::pin(served).await;
                }
                None => {}
            }
            drop(token);
        });
    }
}

/// True if the error ended one queued connection, and does not concern the socket.
fn died_in_the_queue(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Answers and closes at once. The answer may be lost: a client that is still sending may get a reset instead.
fn turn_away_at_once(stream: TcpStream) {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = stream.into_std() else {
        return;
    };
    // The socket does not block, and a new one has room for an answer.
    stream.write_all(&answer::too_many_connections()).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    // Bytes that were sent and not read would turn the close into a reset.
    io::copy(&mut stream.take(READ_AT_ONCE), &mut io::sink()).ok();
}

async fn turn_away(mut stream: TcpStream) {
    use tokio::io::AsyncWriteExt as _;
    if stream
        .write_all(&answer::too_many_connections())
        .await
        .is_ok()
    {
        linger::drain(stream, linger::BRIEF).await;
    }
}
