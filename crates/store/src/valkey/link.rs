//! The way to the server: a thread that keeps one connection, and makes it anew when it breaks.
//!
//! All calls share the connection. A call that meets no connection fails at once, except while the
//! first attempt after a start or after a loss is under way, for which it waits within its time. A
//! call that has no answer in time ends the connection to a server for those that come after it,
//! since what comes late might else be taken for another's answer, and since a server that stands
//! still closes nothing. A cluster's connection does that for each of its nodes.

use super::connect::{Connection, Connector, Ear};
use super::options::{Servers, ValkeyOptions};
use super::trouble::{Reaction, Trouble, judge, unreachable};
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

/// The shortest and the longest rest between two attempts to connect: so short that a fleet agrees again within a second
/// of the server's return, however long that was away.
const REST_MIN: Duration = Duration::from_millis(50);
const REST_MAX: Duration = Duration::from_millis(500);
/// A connection that lasted this long is made anew without a rest when it is lost.
const STEADY: Duration = Duration::from_secs(1);
/// An idle connection is tried this often, so that a cut line is found before it is needed.
const PING_EVERY: Duration = Duration::from_secs(1);
/// A slot that moves is tried again after this long.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// A cluster's connection is made anew when none of its nodes answered for this long: with one node
/// silent, the others go on.
const CLUSTER_SILENT: Duration = Duration::from_secs(2);
/// Doubts beyond these say nothing that the first do not.
const DOUBTS_MAX: usize = 16;

/// A script of the server: what it does as one step.
pub(crate) struct Script {
    text: String,
    /// By what the server knows it, once it has seen the text.
    hash: String,
}

impl Script {
    pub(crate) fn new(text: String) -> Script {
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Script { text, hash }
    }
}

/// What is asked of the server.
pub(crate) enum Call {
    /// A command, as it is.
    Command(Cmd),
    /// A script with its keys and arguments.
    Script {
        script: Arc<Script>,
        keys: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
    },
    /// Begins or ends to listen to a channel.
    Listen(Channel),
}

/// A channel, and what is wanted of it.
#[derive(Clone)]
pub(crate) enum Channel {
    /// To hear what is published on it anywhere.
    Hear(Vec<u8>),
    /// To hear what is published on it in its slot's node of a cluster.
    HearInSlot(Vec<u8>),
    /// To hear that no longer.
    LeaveSlot(Vec<u8>),
}

/// Keeps the connection. Dropping it closes the connection and ends the thread.
pub(crate) struct Link {
    shared: Arc<Shared>,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    timeout: Duration,
    connect_timeout: Duration,
    waiting_max: usize,
    place: String,
    state: watch::Sender<State>,
    doubts: mpsc::Sender<Doubt>,
    waiting: AtomicUsize,
    /// Since when calls have no answer, if the last had none.
    // A std lock: held to look and to set, never across a wait.
    silent: Mutex<Option<Stopwatch>>,
    /// Whether the connection leads to one server. A cluster's looks after its nodes by itself.
    single: bool,
    /// Whether the connection counts as lost when it lost one of its servers.
    brittle: bool,
}

#[derive(Clone)]
enum State {
    /// The first attempt after a start or a loss is under way.
    Opening,
    Ready(Ready),
    /// No connection, and calls need not wait for one.
    Away(String),
}

#[derive(Clone)]
struct Ready {
    connection: Connection,
    serial: u64,
}

/// What someone noticed of the connection with this number.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    serial: u64,
    kind: Unfit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// It is closed, or silent.
    Lost,
    /// It works, and leads to the wrong server.
    Stale,
}

/// Told when a connection was made, and of each message on it.
pub(crate) trait Listener: Send + Sync + 'static {
    /// A connection was made; what was said between the last and this was not heard.
    fn connected(&self);
    /// The server pushed something.
    fn heard(&self, info: PushInfo);
}

/// Asks the server from within the link's own thread. It does not keep the link open.
#[derive(Clone)]
pub(crate) struct Asker(Arc<Shared>);

impl Asker {
    pub(crate) async fn ask(&self, call: Call) -> Result<Value, Trouble> {
        self.0.ask(call).await
    }
}

impl Link {
    /// Starts the thread, which begins to connect. A connection on which a reply has more bytes than that is lost.
    pub(crate) fn open(
        options: &ValkeyOptions,
        listener: Option<Arc<dyn Listener>>,
        reply_max: usize,
    ) -> Result<Link, StoreError> {
        let connector = Connector::new(options.clone(), reply_max)?;
        let servers = match &options.servers {
            Servers::Single(_) => 1,
            // Each Sentinel may have to be found silent before the next is asked.
            Servers::Sentinel { sentinels, .. } => sentinels.len() + 1,
            Servers::Cluster(nodes) => nodes.len(),
        };
        let single = !matches!(options.servers, Servers::Cluster(_));
        let (doubts, told) = mpsc::channel(DOUBTS_MAX);
        let shared = Arc::new(Shared {
            timeout: options.timeout,
            connect_timeout: options.connect_timeout * u32::try_from(servers).unwrap_or(u32::MAX),
            waiting_max: options.limits.waiting_writes_max,
            place: options.place(),
            state: watch::Sender::new(State::Opening),
            doubts,
            waiting: AtomicUsize::new(0),
            silent: Mutex::default(),
            single,
            // A listener must know when it may have missed what one node of a cluster said.
            brittle: single || listener.is_some(),
        });
        let failed = |error| StoreError::io("starting the thread of", options.place(), error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let kept = shared.clone();
        let thread = thread::Builder::new()
            .name("valkey".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = keep(kept, connector, listener, told) => (),
                        // The link is gone.
                        _ = stopped => (),
                    }
                });
                // A name that is being looked up must not hold up the end.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Link {
            shared,
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Asks the server. It needs no runtime of the caller's, and goes on if its future is dropped.
    pub(crate) async fn ask(&self, call: Call) -> Result<Value, Trouble> {
        let shared = self.shared.clone();
        let waiting = shared.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting >= shared.waiting_max {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Trouble::Away(format!(
                "{waiting} operations wait for {}; ask less often, use a faster server, or raise \
                 waiting_writes_max",
                shared.place
            )));
        }
        let task = self.handle.spawn(async move {
            let answer = shared.ask(call).await;
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            answer
        });
        task.await.unwrap_or_else(|_| {
            Err(Trouble::Away(
                "the store was closed meanwhile; open it again".to_owned(),
            ))
        })
    }

    /// Runs a task in the link's thread until the link is closed.
    pub(crate) fn tend<F>(&self, task: impl FnOnce(Asker) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.handle.spawn(task(Asker(self.shared.clone())));
    }

    /// Whether it leads to one server, and not to a cluster.
    pub(crate) fn is_single(&self) -> bool {
        self.shared.single
    }

    /// Why there is no connection, if there is none.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.shared.state.borrow() {
            State::Ready(_) => None,
            State::Opening => Some(format!("connecting to {}", self.shared.place)),
            State::Away(why) => Some(why.clone()),
        }
    }

    /// The server's address, without secrets.
    pub(crate) fn place(&self) -> &str {
        &self.shared.place
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

impl Shared {
    async fn ask(&self, call: Call) -> Result<Value, Trouble> {
        let end = time::Instant::now() + self.timeout;
        let mut again = None;
        loop {
            let mut ready = match time::timeout_at(end, self.ready()).await {
                Ok(ready) => ready?,
                Err(_) => return Err(again.unwrap_or_else(|| self.silent())),
            };
            let answer = time::timeout_at(end, exchange(&mut ready.connection, &call)).await;
            let error = match answer {
                Ok(Ok(answer)) => {
                    self.answered();
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.unanswered(ready.serial);
                    return Err(again.unwrap_or_else(|| self.silent()));
                }
            };
            let (reaction, trouble) = judge(&error, &self.place);
            if reaction != Reaction::Drop {
                self.answered();
            }
            match reaction {
                Reaction::Keep | Reaction::SendText => return Err(trouble),
                // One server has no other node that could answer the next time.
                Reaction::Again if self.single => return Err(trouble),
                Reaction::Renew => {
                    self.doubt(ready.serial, Unfit::Stale);
                    return Err(trouble);
                }
                Reaction::Drop => {
                    self.unanswered(ready.serial);
                    return Err(trouble);
                }
                Reaction::Again => {
                    again = Some(trouble.clone());
                    if time::timeout_at(end, time::sleep(AGAIN_AFTER))
                        .await
                        .is_err()
                    {
                        return Err(trouble);
                    }
                }
            }
        }
    }

    async fn ready(&self) -> Result<Ready, Trouble> {
        let mut states = self.state.subscribe();
        let settled = states
            .wait_for(|state| !matches!(state, State::Opening))
            .await
            .map_or(State::Opening, |state| state.clone());
        match settled {
            State::Ready(ready) => Ok(ready),
            State::Away(why) => Err(Trouble::Away(why)),
            State::Opening => Err(self.silent()),
        }
    }

    fn silent(&self) -> Trouble {
        Trouble::Away(format!(
            "{} did not answer within {:?}; see whether it stands still or the way to it is slow, \
             or allow more with timeout= in the store's URL",
            self.place, self.timeout
        ))
    }

    fn answered(&self) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn unanswered(&self, serial: u64) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let since = silent.get_or_insert_with(Stopwatch::start);
        if self.single || since.elapsed() >= CLUSTER_SILENT {
            *silent = None;
            drop(silent);
            self.doubt(serial, Unfit::Lost);
        }
    }

    fn doubt(&self, serial: u64, kind: Unfit) {
        // If it is full, the keeper has enough to wake it.
        let _ = self.doubts.try_send(Doubt { serial, kind });
    }
}

async fn exchange(connection: &mut Connection, call: &Call) -> Result<Value, RedisError> {
    match call {
        Call::Command(command) => connection.ask(command).await,
        Call::Listen(channel) => connection.listen(channel).await.map(|()| Value::Okay),
        Call::Script { script, keys, args } => {
            let command = |name: &str, body: &str| {
                let mut command = redis::cmd(name);
                command.arg(body).arg(keys.len()).arg(keys).arg(args);
                command
            };
            let answer = connection.ask(&command("EVALSHA", &script.hash)).await;
            match answer {
                // Sending the text runs it, and makes the server remember it.
                Err(error) if error.code() == Some("NOSCRIPT") => {
                    connection.ask(&command("EVAL", &script.text)).await
                }
                answer => answer,
            }
        }
    }
}

/// Keeps a connection for as long as the link lives.
async fn keep(
    shared: Arc<Shared>,
    connector: Connector,
    listener: Option<Arc<dyn Listener>>,
    mut doubts: mpsc::Receiver<Doubt>,
) {
    let mut failures = 0;
    for serial in 0.. {
        let away = match connect(&shared, &connector, &listener, serial).await {
            Err(why) => why,
            Ok(connection) => {
                let lasted = Stopwatch::start();
                let ready = Ready { connection, serial };
                shared.state.send_replace(State::Ready(ready.clone()));
                if let Some(listener) = &listener {
                    listener.connected();
                }
                let unfit = watch_over(&shared, ready, &mut doubts).await;
                if lasted.elapsed() >= STEADY {
                    failures = 0;
                    if unfit == Unfit::Lost {
                        shared.state.send_replace(State::Opening);
                    }
                    continue;
                }
                if unfit == Unfit::Stale {
                    time::sleep(rest(failures)).await;
                    failures += 1;
                    continue;
                }
                format!("the connection to {} was lost", shared.place)
            }
        };
        shared.state.send_replace(State::Away(away));
        time::sleep(rest(failures)).await;
        failures += 1;
    }
}

async fn connect(
    shared: &Arc<Shared>,
    connector: &Connector,
    listener: &Option<Arc<dyn Listener>>,
    serial: u64,
) -> Result<Connection, String> {
    let (doubts, listener, brittle) = (shared.doubts.clone(), listener.clone(), shared.brittle);
    let ear: Ear = Arc::new(move |info: PushInfo| {
        if brittle && info.kind == PushKind::Disconnection {
            let kind = Unfit::Lost;
            let _ = doubts.try_send(Doubt { serial, kind });
        }
        if let Some(listener) = &listener {
            listener.heard(info);
        }
    });
    match time::timeout(shared.connect_timeout, connector.connect(ear)).await {
        Ok(connected) => connected.map_err(|error| unreachable(&error, &shared.place)),
        Err(_) => Err(format!(
            "no connection to {} within {:?}; see whether it stands still or is cut off (it is \
             tried again all the time)",
            shared.place, shared.connect_timeout
        )),
    }
}

/// Returns when a connection is not fit for use any more.
async fn watch_over(
    shared: &Shared,
    mut ready: Ready,
    doubts: &mut mpsc::Receiver<Doubt>,
) -> Unfit {
    let mut next_ping = time::Instant::now() + PING_EVERY;
    loop {
        tokio::select! {
            doubt = doubts.recv() => {
                if let Some(Doubt { serial, kind }) = doubt && serial == ready.serial {
                    return kind;
                }
            }
            () = time::sleep_until(next_ping), if shared.single => {
                let ping = redis::cmd("PING");
                let answer = time::timeout(PING_EVERY, ready.connection.ask(&ping)).await;
                // An error is an answer, too: the line is whole.
                if answer.is_err() || answer.is_ok_and(|a| a.is_err_and(|e| e.code().is_none())) {
                    return Unfit::Lost;
                }
                next_ping = time::Instant::now() + PING_EVERY;
            }
        }
    }
}

/// How long to rest after so many failures in a row: doubled each time, and the half of it by
/// chance, so that many clients do not come back at once.
fn rest(failures: u32) -> Duration {
    let whole = REST_MIN.saturating_mul(1 << failures.min(16)).min(REST_MAX);
    whole / 2 + whole.mul_f64(fastrand::f64()) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_from_the_shortest_to_the_longest_and_no_further() {
        for failures in 0..100 {
            let rest = rest(failures);
            assert!(rest >= REST_MIN / 2 && rest <= REST_MAX);
            assert!(failures < 8 || rest >= REST_MAX / 2);
        }
    }
}
