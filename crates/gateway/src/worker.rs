//! One worker thread: its own runtime, its own sockets, its own connections to upstreams.
//!
//! Workers share the plan, the breakers and a few counters; a request never leaves the worker that
//! accepted it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::answer;
use crate::call::Desk;
use crate::connection;
use crate::exchange::Ids;
use crate::handshake;
use crate::linger::{self, LingerRoom};
use crate::listen::{BACKLOG, Place};
use crate::meter::WorkerMeter;
use crate::shared::Shared;

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many such pauses in a row are said once: one line in 10 s.
const ACCEPT_SAID_EVERY: u32 = 200;

/// How many connections over the limit a worker tells so at once.
const TURNED_AWAY_MAX: usize = 64;

/// How much is read of what a client has sent that is turned away at once.
const READ_AT_ONCE: u64 = 64 << 10;

/// How often idle connections to upstreams are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// What the gateway tells a worker.
#[derive(Debug)]
pub enum Command {
    /// Accept on a socket, as the listener that has this place.
    Listen(Place, StdListener),
    /// Stop accepting there, and let its connections finish what is in flight.
    Close(Place),
    /// Stop accepting, let what is in flight finish within the time, then say so and end.
    Drain(Duration, oneshot::Sender<Drained>),
}

/// How a worker's drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not finish in time.
    pub cut: usize,
}

/// What belongs to one worker.
#[derive(Debug)]
pub struct Worker {
    /// Counted from 0.
    pub index: usize,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Makes request ids.
    pub ids: Ids,
    /// Connections whose clients may still be sending behind their last answer.
    pub lingering: LingerRoom,
    /// Connections and tunnels that are open.
    open: AtomicUsize,
    left: Notify,
    turning_away: Arc<Semaphore>,
}

/// Keeps a worker from ending; dropped when a connection or tunnel is done.
#[derive(Debug)]
pub struct Stay(Arc<Worker>);

impl Drop for Stay {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

impl Worker {
    /// A worker without connections yet. What runs beside the workers has one of its own, of the index
    /// after the last.
    pub fn new(index: usize, shared: Arc<Shared>) -> Arc<Worker> {
        // Where descriptors are few, few are spent on those that get no service.
        let workers = shared.pulses.iter().count();
        let turned_away = TURNED_AWAY_MAX.min(shared.seats.all_max() / 8 / workers + 1);
        Arc::new(Worker {
            index,
            shared,
            ids: Ids::new(fastrand::u64(..)),
            lingering: LingerRoom::default(),
            open: AtomicUsize::new(0),
            left: Notify::new(),
            turning_away: Arc::new(Semaphore::new(turned_away)),
        })
    }

    /// What this worker counts.
    pub fn meter(&self) -> &WorkerMeter {
        self.shared.meters.of(self.index)
    }

    /// The clock, and which worker this is.
    pub fn desk(&self) -> Desk {
        Desk {
            clock: self.shared.clock.clone(),
            worker: self.index,
        }
    }

    /// Notes something that must finish before the worker may end.
    pub fn stay(self: &Arc<Worker>) -> Stay {
        self.open.fetch_add(1, Ordering::AcqRel);
        Stay(self.clone())
    }

    /// Waits until nothing is open any more, at most for `limit`.
    pub async fn wait_until_empty(&self, limit: Duration) -> Drained {
        let empty = async {
            loop {
                let left = self.left.notified();
                if self.open.load(Ordering::Acquire) == 0 {
                    return;
                }
                left.await;
            }
        };
        match tokio::time::timeout(limit, empty).await {
            Ok(()) => Drained { cut: 0 },
            Err(_) => Drained {
                cut: self.open.load(Ordering::Acquire),
            },
        }
    }
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
    let worker = Worker::new(index, shared);
    std::thread::Builder::new()
        .name(format!("fusebox-{index}"))
        .spawn(move || {
            let shared = worker.shared.clone();
            let pulse = shared.clone();
            runtime.spawn(async move { pulse.pulses.of(index).beat().await });
            runtime.block_on(obey(worker, commands));
            // What is still running is cut; its time was over.
            runtime.shutdown_background();
            shared.pulses.of(index).end();
        })
}

async fn obey(worker: Arc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut listening: HashMap<Place, Listening> = HashMap::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            _ = sweep.tick() => {
                worker.shared.sweep(worker.index);
                continue;
            }
        };
        match command {
            Some(Command::Listen(place, socket)) => {
                match Listening::begin(&worker, place.clone(), socket) {
                    Ok(begun) => {
                        listening.insert(place, begun);
                    }
                    Err(error) => {
                        tracing::error!(?place, %error, "a socket could not be used")
                    }
                }
            }
            Some(Command::Close(place)) => {
                if let Some(listening) = listening.remove(&place) {
                    listening.end().await;
                }
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

/// A socket that is being accepted from.
struct Listening {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
    closing: Arc<Closing>,
}

impl Listening {
    fn begin(worker: &Arc<Worker>, place: Place, socket: StdListener) -> io::Result<Listening> {
        let entrance = Entrance {
            worker: worker.clone(),
            place,
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

    /// Stops accepting once the connections that the kernel has queued are taken over, then tells
    /// all of the listener's connections to finish.
    async fn end(self) {
        self.stop.send(()).ok();
        self.task.await.ok();
        self.closing.begin();
    }
}

/// Tells the connections of a listener that they are to finish what is in flight, and end.
#[derive(Debug, Default)]
pub struct Closing {
    begun: AtomicBool,
    wake: Notify,
}

impl Closing {
    /// The time has come.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Whether the time has come.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Wakes when it comes; who asks [`Closing::has_begun`] after enabling this misses nothing.
    pub fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }

    /// Waits until it comes.
    pub async fn wait(&self) {
        let mut notified = std::pin::pin!(self.notified());
        notified.as_mut().enable();
        if !self.has_begun() {
            notified.await;
        }
    }
}

/// Where a worker's connections of one listener come in.
struct Entrance {
    worker: Arc<Worker>,
    place: Place,
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

    /// Connections that the kernel accepted for us are not dropped with the socket. The kernel is
    /// asked itself, for the runtime may not have heard of them yet.
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
                // One that died in the queue.
                Err(_) => {}
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let worker = self.worker.clone();
        let stay = worker.stay();
        let limit = worker.shared.live.load().plan.limits.connections_max;
        let Some(seat) = worker.shared.seats.take(&self.place, limit) else {
            worker.meter().connections_refused.add();
            tracing::debug!(%peer, limit, reason = "connections_full", "connection refused");
            let live = worker.shared.plan_for(&self.place);
            if live
                .listener(&self.place)
                .is_some_and(|it| it.tls.is_some())
            {
                // A plain answer would look like a fault of TLS, and a handshake costs more than the flood.
                return;
            }
            // Beyond those that are waited for until they have read why, a connection is answered and closed at once, so
            // that a flood over the limit does not use up descriptors after all.
            match worker.turning_away.clone().try_acquire_owned() {
                Ok(place) => {
                    tokio::spawn(async move {
                        turn_away(stream).await;
                        drop((place, stay));
                    });
                }
                Err(_) => turn_away_at_once(stream),
            }
            return;
        };
        worker.meter().connections.add();
        let (place, closing) = (self.place.clone(), self.closing.clone());
        tokio::spawn(async move {
            if let Some(stream) = handshake::secured(&worker, &place, stream, peer, &closing).await
            {
                connection::serve(worker, place, stream, peer, seat, closing).await;
            }
            drop(stay);
        });
    }
}

/// Whether it is one connection's end, and no fault of the socket's.
fn died_in_the_queue(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Whether the answer arrives is the network's to say: a client that still sends may lose it to a reset.
fn turn_away_at_once(stream: TcpStream) {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = stream.into_std() else {
        return;
    };
    // The socket does not block, and a new one has room for an answer.
    stream.write_all(&answer::too_many_connections()).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    // What has been sent and not read would turn the close into a reset.
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
