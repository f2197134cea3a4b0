//! The link to the server: a thread that keeps one connection and reopens it when it breaks.
//!
//! All requests share the connection. A request without a connection fails at once, except during the first attempt
//! after a start or a loss, for which it waits within its time limit. A request without an answer in time ends the
//! connection to a single server: a late answer might be taken for another request's, and a frozen server closes
//! nothing by itself. A cluster connection does that for each of its nodes.

use super::connect::{Connection, Connector, PushHandler};
use super::options::{Servers, ValkeyOptions};
use super::trouble::{Reaction, RequestError, classify, unreachable};
use crate::StoreError;
use crate::clock::Stopwatch;
use redis::{Cmd, PushInfo, PushKind, RedisError, Value};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time;

/// The shortest and the longest pause between two attempts to connect. The longest is so short that a fleet agrees
/// again within a second of the server's return, however long the server was away.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A connection that lasted this long is reopened without a pause.
const STEADY: Duration = Duration::from_secs(1);
/// The interval of pings on an idle connection, so that a cut line is found before it is needed.
const PING_EVERY: Duration = Duration::from_secs(1);
/// The pause before a request to a moving slot is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(10);
/// A cluster connection is reopened when none of its nodes answered for this long. While only one node is silent, the
/// others are still used.
const CLUSTER_SILENT: Duration = Duration::from_secs(2);
/// The most queued reports; further ones add no information.
const REPORTS_MAX: usize = 16;

/// A script that the server runs atomically.
pub(crate) struct Script {
    text: String,
    /// The script's SHA-1, by which the server knows a script that it has seen.
    hash: String,
}

impl Script {
    pub(crate) fn new(text: String) -> Script {
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Script { text, hash }
    }
}

pub(crate) enum Request {
    Command(Cmd),
    /// A script with its keys and arguments.
    Script {
        script: Arc<Script>,
        keys: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
    },
    /// A subscription to a channel, or its end.
    Listen(Channel),
}

/// A channel with the kind of subscription.
#[derive(Clone)]
pub(crate) enum Channel {
    /// Subscribe to all that is published on the channel.
    Subscribe(Vec<u8>),
    /// Subscribe to a sharded channel, published on the node of its slot in a cluster.
    SubscribeSharded(Vec<u8>),
    UnsubscribeSharded(Vec<u8>),
}

/// The owner of the connection and its thread. Dropping it closes the connection and ends the thread.
pub(crate) struct Link {
    inner: Arc<Inner>,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Inner {
    timeout: Duration,
    connect_timeout: Duration,
    waiting_max: usize,
    place: String,
    state: watch::Sender<State>,
    reports: mpsc::Sender<DefectReport>,
    waiting: AtomicUsize,
    /// The start of the silence, if the last request had no answer.
    // A std lock: held for one access, never across an await.
    silence: Mutex<Option<Stopwatch>>,
    /// True for a single server. A cluster connection looks after its nodes by itself.
    single: bool,
    /// True if the connection counts as lost when it loses one of its servers.
    brittle: bool,
}

#[derive(Clone)]
enum State {
    /// The first attempt after a start or a loss is under way.
    Opening,
    Ready(Ready),
    /// There is no connection, and requests fail at once.
    Unavailable(String),
}

#[derive(Clone)]
struct Ready {
    connection: Connection,
    serial: u64,
}

/// A report that the connection with this serial number is unfit.
#[derive(Debug, Clone, Copy)]
struct DefectReport {
    serial: u64,
    defect: Defect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    /// The connection is closed or silent.
    Lost,
    /// The connection works but leads to the wrong server.
    Stale,
}

/// Receives the events of a connection.
pub(crate) trait Listener: Send + Sync + 'static {
    /// A new connection was opened. Pushes since the end of the last one were missed.
    fn on_connect(&self);
    /// The server pushed a message.
    fn on_push(&self, info: PushInfo);
}

/// Sends requests from a task in the link's own thread. Does not keep the link open.
#[derive(Clone)]
pub(crate) struct LinkHandle(Arc<Inner>);

impl LinkHandle {
    pub(crate) async fn send(&self, request: Request) -> Result<Value, RequestError> {
        self.0.send(request).await
    }
}

impl Link {
    /// Starts the thread, which begins to connect. A connection on which a reply exceeds `reply_max` bytes is lost.
    pub(crate) fn open(
        options: &ValkeyOptions,
        listener: Option<Arc<dyn Listener>>,
        reply_max: usize,
    ) -> Result<Link, StoreError> {
        let connector = Connector::new(options.clone(), reply_max)?;
        let servers = match &options.servers {
            Servers::Single(_) => 1,
            // Each Sentinel may time out before the next one is asked.
            Servers::Sentinel { sentinels, .. } => sentinels.len() + 1,
            Servers::Cluster(nodes) => nodes.len(),
        };
        let single = !matches!(options.servers, Servers::Cluster(_));
        let (reports, receiver) = mpsc::channel(REPORTS_MAX);
        let inner = Arc::new(Inner {
            timeout: options.timeout,
            connect_timeout: options.connect_timeout * u32::try_from(servers).unwrap_or(u32::MAX),
            waiting_max: options.limits.waiting_writes_max,
            place: options.place(),
            state: watch::Sender::new(State::Opening),
            reports,
            waiting: AtomicUsize::new(0),
            silence: Mutex::default(),
            single,
            // A listener must learn that it may have missed pushes of one node of a cluster.
            brittle: single || listener.is_some(),
        });
        let failed = |error| StoreError::io("starting the thread of", options.place(), error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let for_thread = inner.clone();
        let thread = thread::Builder::new()
            .name("valkey".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = keep_connected(for_thread, connector, listener, receiver) => (),
                        // The link was dropped.
                        _ = stopped => (),
                    }
                });
                // A name lookup in progress must not delay the end.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Link {
            inner,
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Sends a request. It needs no runtime of the caller's, and is completed even if its future is dropped.
    pub(crate) async fn send(&self, request: Request) -> Result<Value, RequestError> {
        let inner = self.inner.clone();
        let waiting = inner.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting >= inner.waiting_max {
            inner.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(RequestError::Unavailable(format!(
                "{waiting} operations wait for {}; send fewer, use a faster server, or raise \
                 waiting_writes_max",
                inner.place
            )));
        }
        let task = self.handle.spawn(async move {
            let answer = inner.send(request).await;
            inner.waiting.fetch_sub(1, Ordering::Relaxed);
            answer
        });
        task.await.unwrap_or_else(|_| {
            Err(RequestError::Unavailable(
                "the store was closed during the operation; open it again".to_owned(),
            ))
        })
    }

    /// Runs a task in the link's thread until the link closes.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(LinkHandle) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.handle.spawn(task(LinkHandle(self.inner.clone())));
    }

    /// True if the link leads to a single server, false for a cluster.
    pub(crate) fn is_single(&self) -> bool {
        self.inner.single
    }

    /// Describes the obstacle if there is no connection.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.inner.state.borrow() {
            State::Ready(_) => None,
            State::Opening => Some(format!("connecting to {}", self.inner.place)),
            State::Unavailable(why) => Some(why.clone()),
        }
    }

    /// The server's address, without secrets.
    pub(crate) fn place(&self) -> &str {
        &self.inner.place
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been printed there.
            let _ = thread.join();
        }
    }
}

impl Inner {
    async fn send(&self, request: Request) -> Result<Value, RequestError> {
        let end = time::Instant::now() + self.timeout;
        let mut last_failure = None;
        loop {
            let mut ready = match time::timeout_at(end, self.ready()).await {
                Ok(ready) => ready?,
                Err(_) => return Err(last_failure.unwrap_or_else(|| self.timed_out())),
            };
            let answer = time::timeout_at(end, exchange(&mut ready.connection, &request)).await;
            let error = match answer {
                Ok(Ok(answer)) => {
                    self.answered();
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.unanswered(ready.serial);
                    return Err(last_failure.unwrap_or_else(|| self.timed_out()));
                }
            };
            let (reaction, failure) = classify(&error, &self.place);
            if reaction != Reaction::Discard {
                self.answered();
            }
            match reaction {
                Reaction::Keep => return Err(failure),
                // A single server has no other node that could answer next time.
                Reaction::Retry if self.single => return Err(failure),
                Reaction::Reconnect => {
                    self.report(ready.serial, Defect::Stale);
                    return Err(failure);
                }
                Reaction::Discard => {
                    self.unanswered(ready.serial);
                    return Err(failure);
                }
                Reaction::Retry => {
                    last_failure = Some(failure.clone());
                    if time::timeout_at(end, time::sleep(RETRY_AFTER))
                        .await
                        .is_err()
                    {
                        return Err(failure);
                    }
                }
            }
        }
    }

    async fn ready(&self) -> Result<Ready, RequestError> {
        let mut states = self.state.subscribe();
        let settled = states
            .wait_for(|state| !matches!(state, State::Opening))
            .await
            .map_or(State::Opening, |state| state.clone());
        match settled {
            State::Ready(ready) => Ok(ready),
            State::Unavailable(why) => Err(RequestError::Unavailable(why)),
            State::Opening => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> RequestError {
        RequestError::Unavailable(format!(
            "{} did not answer within {:?}; check whether it hangs or the network is slow, \
             or raise timeout= in the store's URL",
            self.place, self.timeout
        ))
    }

    fn answered(&self) {
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn unanswered(&self, serial: u64) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let since = silence.get_or_insert_with(Stopwatch::start);
        if self.single || since.elapsed() >= CLUSTER_SILENT {
            *silence = None;
            drop(silence);
            self.report(serial, Defect::Lost);
        }
    }

    fn report(&self, serial: u64, defect: Defect) {
        // A full queue wakes the thread just as well.
        let _ = self.reports.try_send(DefectReport { serial, defect });
    }
}

async fn exchange(connection: &mut Connection, request: &Request) -> Result<Value, RedisError> {
    match request {
        Request::Command(command) => connection.send(command).await,
        Request::Listen(channel) => connection.listen(channel).await.map(|()| Value::Okay),
        Request::Script { script, keys, args } => {
            let command = |name: &str, body: &str| {
                let mut command = redis::cmd(name);
                command.arg(body).arg(keys.len()).arg(keys).arg(args);
                command
            };
            let answer = connection.send(&command("EVALSHA", &script.hash)).await;
            match answer {
                // EVAL runs the script and makes the server remember it.
                Err(error) if error.code() == Some("NOSCRIPT") => {
                    connection.send(&command("EVAL", &script.text)).await
                }
                answer => answer,
            }
        }
    }
}

/// Keeps a connection open for as long as the link lives.
async fn keep_connected(
    inner: Arc<Inner>,
    connector: Connector,
    listener: Option<Arc<dyn Listener>>,
    mut reports: mpsc::Receiver<DefectReport>,
) {
    let mut failures = 0;
    for serial in 0.. {
        let away = match connect(&inner, &connector, &listener, serial).await {
            Err(why) => why,
            Ok(connection) => {
                let lasted = Stopwatch::start();
                let ready = Ready { connection, serial };
                inner.state.send_replace(State::Ready(ready.clone()));
                if let Some(listener) = &listener {
                    listener.on_connect();
                }
                let unfit = wait_until_unfit(&inner, ready, &mut reports).await;
                if lasted.elapsed() >= STEADY {
                    failures = 0;
                    if unfit == Defect::Lost {
                        inner.state.send_replace(State::Opening);
                    }
                    continue;
                }
                if unfit == Defect::Stale {
                    time::sleep(pause(failures)).await;
                    failures += 1;
                    continue;
                }
                format!("the connection to {} was lost", inner.place)
            }
        };
        inner.state.send_replace(State::Unavailable(away));
        time::sleep(pause(failures)).await;
        failures += 1;
    }
}

async fn connect(
    inner: &Arc<Inner>,
    connector: &Connector,
    listener: &Option<Arc<dyn Listener>>,
    serial: u64,
) -> Result<Connection, String> {
    let (reports, listener, brittle) = (inner.reports.clone(), listener.clone(), inner.brittle);
    let on_push: PushHandler = Arc::new(move |info: PushInfo| {
        if brittle && info.kind == PushKind::Disconnection {
            let defect = Defect::Lost;
            let _ = reports.try_send(DefectReport { serial, defect });
        }
        if let Some(listener) = &listener {
            listener.on_push(info);
        }
    });
    match time::timeout(inner.connect_timeout, connector.connect(on_push)).await {
        Ok(connected) => connected.map_err(|error| unreachable(&error, &inner.place)),
        Err(_) => Err(format!(
            "no connection to {} within {:?}; check whether it hangs or is cut off (connecting is \
             retried all the time)",
            inner.place, inner.connect_timeout
        )),
    }
}

/// Watches a connection and returns its defect when it becomes unfit.
async fn wait_until_unfit(
    inner: &Inner,
    mut ready: Ready,
    reports: &mut mpsc::Receiver<DefectReport>,
) -> Defect {
    let mut next_ping = time::Instant::now() + PING_EVERY;
    loop {
        tokio::select! {
            report = reports.recv() => {
                if let Some(DefectReport { serial, defect }) = report && serial == ready.serial {
                    return defect;
                }
            }
            () = time::sleep_until(next_ping), if inner.single => {
                let ping = redis::cmd("PING");
                let answer = time::timeout(PING_EVERY, ready.connection.send(&ping)).await;
                // An error is an answer, too: the line is intact.
                if answer.is_err() || answer.is_ok_and(|a| a.is_err_and(|e| e.code().is_none())) {
                    return Defect::Lost;
                }
                next_ping = time::Instant::now() + PING_EVERY;
            }
        }
    }
}

/// The pause after this many failures in a row: doubled each time, half of it random, so that many clients do not
/// return at once.
fn pause(failures: u32) -> Duration {
    let whole = PAUSE_MIN
        .saturating_mul(1 << failures.min(16))
        .min(PAUSE_MAX);
    whole / 2 + whole.mul_f64(fastrand::f64()) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_from_the_shortest_to_the_longest_and_no_further() {
        for failures in 0..100 {
            let pause = pause(failures);
            assert!(pause >= PAUSE_MIN / 2 && pause <= PAUSE_MAX);
            assert!(failures < 8 || pause >= PAUSE_MAX / 2);
        }
    }
}
