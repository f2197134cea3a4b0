//! The streams of one HTTP/2 connection: each is a task of the connection's worker, with the notes that tell a client
//! that has left from one that has its answer.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use tokio::time::Sleep;

use crate::ground::clock::Clock;
use crate::request::downstream::Downstream;
use crate::request::worker::{TaskToken, Worker};

thread_local! {
    /// The stream that hyper hands to its executor next: it does so right after it has called the service, on the same
    /// thread.
    static NEWEST: Cell<Option<Arc<StreamNote>>> = const { Cell::new(None) };
}

/// Time for which an answered stream stays open while its client may still send: one that finds the answer and the reset
/// in one read takes the answer for lost, as curl does.
const LINGER: Duration = Duration::from_millis(200);

/// The most streams of one connection that stay open so; one more is reset at once.
const LINGERING_MAX: u32 = 64;

/// The open streams of one connection.
#[derive(Debug)]
pub struct Streams {
    worker: Arc<Worker>,
    open: AtomicU32,
    /// The number of streams that are answered and stay open for a while.
    lingering: AtomicU32,
    /// The time since which none has been open, in nanoseconds.
    idle_since: AtomicU64,
    /// Wakes the connection when the last one ends.
    connection: AtomicWaker,
    /// Limit on the time for which a client reads nothing of an answer that waits for it.
    stall_timeout: Duration,
}

impl Streams {
    /// A connection without streams.
    pub fn new(worker: Arc<Worker>, stall_timeout: Duration) -> Arc<Streams> {
        let idle_since = AtomicU64::new(worker.clock().tick().as_nanos());
        Arc::new(Streams {
            worker,
            open: AtomicU32::new(0),
            lingering: AtomicU32::new(0),
            idle_since,
            connection: AtomicWaker::new(),
            stall_timeout,
        })
    }

    /// The time since which no stream has been open; `None`: one is. Wakes `cx` when that changes.
    pub fn idle_since(&self, cx: &Context<'_>) -> Option<Timestamp> {
        self.connection.register(cx.waker());
        match self.open.load(Ordering::Relaxed) {
            0 => Some(Timestamp::from_nanos(
                self.idle_since.load(Ordering::Relaxed),
            )),
            _ => None,
        }
    }

    /// A place among the streams that stay open for a while; `None`: there are enough.
    fn linger(self: &Arc<Streams>) -> Option<Lingering> {
        let before = self.lingering.fetch_add(1, Ordering::Relaxed);
        let lingering = Lingering(self.clone());
        (before < LINGERING_MAX).then_some(lingering)
    }

    fn clock(&self) -> &Arc<Clock> {
        self.worker.clock()
    }
}

/// A place among the streams that are answered and stay open for a while.
struct Lingering(Arc<Streams>);

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One open stream, or a tunnel in one; keeps the worker from ending.
struct OpenStream {
    streams: Arc<Streams>,
    _token: TaskToken,
}

impl OpenStream {
    fn begin(streams: &Arc<Streams>) -> OpenStream {
        streams.open.fetch_add(1, Ordering::Relaxed);
        OpenStream {
            streams: streams.clone(),
            _token: streams.worker.task_token(),
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let streams = &*self.streams;
        let now = streams.clock().tick().as_nanos();
        streams.idle_since.store(now, Ordering::Relaxed);
        if streams.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            streams.connection.wake();
        }
    }
}

/// The progress of one stream's answer, noted by its body.
#[derive(Debug)]
pub struct StreamNote {
    downstream: Arc<Downstream>,
    state: AtomicU8,
    /// The time at which hyper got the last part of the body, in nanoseconds.
    handed_at: AtomicU64,
    /// True if the stream stays open for a while where the client's body is not over.
    lingers: AtomicBool,
}

/// The answer is not there yet.
const SERVED: u8 = 0;
/// hyper waits for the next part of the body.
const ASKED: u8 = 1;
/// hyper has a part that the client may not take yet.
const HANDED: u8 = 2;
/// The same for the last part.
const LAST: u8 = 3;
/// hyper needs nothing more.
const OVER: u8 = 4;

impl StreamNote {
    /// A stream whose task hyper makes next on this thread.
    pub fn announce(downstream: &Arc<Downstream>) -> Arc<StreamNote> {
        let note = Arc::new(StreamNote {
            downstream: downstream.clone(),
            state: AtomicU8::new(SERVED),
            handed_at: AtomicU64::new(0),
            lingers: AtomicBool::new(false),
        });
        NEWEST.set(Some(note.clone()));
        note
    }

    /// Lets the stream stay open for a while where the client's body is not over.
    pub fn lingers(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    fn is_to_linger(&self) -> bool {
        self.lingers.load(Ordering::Relaxed) && self.downstream.phase.is_body_owed()
    }

    /// Notes that hyper asks for the next part.
    pub fn asked(&self) {
        self.state.store(ASKED, Ordering::Relaxed);
    }

    /// Notes that hyper has got a part.
    pub fn handed(&self, is_last: bool) {
        let now = self.downstream.worker.clock().tick();
        self.handed_at.store(now.as_nanos(), Ordering::Relaxed);
        let state = if is_last { LAST } else { HANDED };
        self.state.store(state, Ordering::Relaxed);
    }

    /// Notes the end of the answer, whole or cut by us.
    pub fn over(&self) {
        self.state.store(OVER, Ordering::Relaxed);
    }

    fn is_answered(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), LAST | OVER)
    }

    /// The time since which a part has waited for the client; `None`: none waits.
    fn waiting_since(&self) -> Option<Timestamp> {
        let waits = matches!(self.state.load(Ordering::Relaxed), HANDED | LAST);
        waits.then(|| Timestamp::from_nanos(self.handed_at.load(Ordering::Relaxed)))
    }
}

/// Runs hyper's streams as tasks of the worker.
#[derive(Debug, Clone)]
pub struct StreamExecutor(pub Arc<Streams>);

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let open = OpenStream::begin(&self.0);
        match NEWEST.take() {
            Some(note) => {
                tokio::spawn(run(task, note, open));
            }
            // The writing half of a tunnel.
            None => {
                tokio::spawn(async move {
                    task.await;
                    drop(open);
                });
            }
        }
    }
}

/// Runs one stream until its answer is out, its client has left, or its client reads nothing for too long.
async fn run<F: Future<Output = ()>>(task: F, note: Arc<StreamNote>, open: OpenStream) {
    let mut task = pin!(task);
    let mut stall = Stall::default();
    poll_fn(|cx| match task.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => stall.poll(cx, &note, &open.streams),
    })
    .await;
    // hyper ends a stream whose client has reset it, and drops the request with it. A drain's end drops this task
    // instead, so that the client is not thought to have left.
    if !note.is_answered() {
        note.downstream.phase.leave();
        return;
    }
    if !note.is_to_linger() {
        return;
    }
    let place = open.streams.linger();
    // Neither the exchange nor the worker waits for it.
    drop((note, open));
    if place.is_some() {
        tokio::time::sleep(LINGER).await;
    }
    // The task holds the stream, which h2 resets once it is dropped.
}

/// The wait for a client that does not read.
#[derive(Default)]
struct Stall {
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn poll(&mut self, cx: &mut Context<'_>, note: &StreamNote, streams: &Streams) -> Poll<()> {
        let Some(since) = note.waiting_since() else {
            return Poll::Pending;
        };
        let until = since + streams.stall_timeout;
        loop {
            let now = streams.clock().tick();
            let alarm = match &mut self.alarm {
                Some(alarm) => alarm,
                None => {
                    let wait = until.saturating_since(now).max(Duration::from_millis(1));
                    self.alarm.insert(Box::pin(tokio::time::sleep(wait)))
                }
            };
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if now >= until {
                let peer = note.downstream.peer;
                tracing::debug!(%peer, reason = "stream_stalled", "a client that reads nothing of its answer is cut off");
                return Poll::Ready(());
            }
            // It was set for an earlier part.
            self.alarm = None;
        }
    }
}
