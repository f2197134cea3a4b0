//! A connection whose answer has come before its request was complete: a task sends the rest, and reads the answer for its
//! body.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, Permit};
use tokio::task::JoinHandle;

use super::connection::Http1;
use super::fault::Fault;
use crate::upstream::parting::Parting;

/// The frames of an answer that wait to be read, beside the one that is being read.
const WAITING: usize = 1;

/// A frame of a body, or its fault; `None`: the body has ended.
type Next = Option<Result<Frame<Bytes>, Fault>>;

/// The reader of an answer whose connection a task drives; dropped, it ends the connection.
#[derive(Debug)]
pub struct Driven {
    frames: mpsc::Receiver<(Next, State)>,
    state: State,
    task: JoinHandle<Option<Box<Http1>>>,
    parting: Arc<Parting>,
}

/// The state of a body behind a frame.
#[derive(Debug, Clone, Copy)]
struct State {
    has_ended: bool,
    left: Option<u64>,
}

impl State {
    const ENDED: State = State {
        has_ended: true,
        left: Some(0),
    };

    fn of(connection: &Http1) -> State {
        State {
            has_ended: connection.has_ended(),
            left: connection.left(),
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Driven {
    /// Begins the task.
    pub fn begin(connection: Box<Http1>) -> Driven {
        let (send, frames) = mpsc::channel(WAITING);
        Driven {
            frames,
            state: State::of(&connection),
            parting: connection.parting().clone(),
            task: tokio::spawn(drive(connection, send)),
        }
    }

    /// The part that the place of a call on the connection is tied to.
    pub fn parting(&self) -> &Arc<Parting> {
        &self.parting
    }

    /// True if no frame is to come.
    pub fn has_ended(&self) -> bool {
        self.state.has_ended
    }

    /// The number of bytes still to come; `None`: it is not known.
    pub fn left(&self) -> Option<u64> {
        self.state.left
    }

    /// The next frame; `None`: the body has ended.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.state.has_ended {
            return Poll::Ready(None);
        }
        let (next, state) = ready!(self.frames.poll_recv(cx)).unwrap_or((None, State::ENDED));
        self.state = state;
        Poll::Ready(next)
    }

    /// Waits until the request is complete; `None`: its connection carries no other.
    pub async fn uploaded(mut self: Box<Self>) -> Option<Box<Http1>> {
        (&mut self.task).await.ok().flatten()
    }
}

/// A step of a connection that is driven.
enum Step {
    /// A frame of the answer has come, or its end.
    Frame(Next),
    /// The request could not be sent to its end.
    Failed(Fault),
    /// Both have ended, or the reader is gone.
    Over,
}

/// Drives a connection to the end of its request and of its answer; `None`: it carries no other request.
async fn drive(
    mut connection: Box<Http1>,
    frames: mpsc::Sender<(Next, State)>,
) -> Option<Box<Http1>> {
    let mut room = pin!(frames.reserve());
    let mut permit: Option<Permit<'_, (Next, State)>> = None;
    loop {
        let step = poll_fn(|cx| poll_step(cx, &mut connection, room.as_mut(), &mut permit)).await;
        match (step, permit.take()) {
            (Step::Frame(next), Some(permit)) => {
                permit.send((next, State::of(&connection)));
                room.set(frames.reserve());
            }
            (Step::Failed(fault), permit) => {
                // The connection ends at once, whether the answer is read or not.
                drop(connection);
                let next = (Some(Err(fault)), State::ENDED);
                match permit {
                    Some(permit) => permit.send(next),
                    None => {
                        if let Ok(permit) = room.await {
                            permit.send(next);
                        }
                    }
                }
                return None;
            }
            (Step::Frame(_) | Step::Over, _) => break,
        }
    }
    connection.rest().then_some(connection)
}

/// Sends what can be sent, then reads a frame if there is room for one.
fn poll_step<'a, R>(
    cx: &mut Context<'_>,
    connection: &mut Http1,
    room: Pin<&mut R>,
    permit: &mut Option<Permit<'a, (Next, State)>>,
) -> Poll<Step>
where
    R: Future<Output = Result<Permit<'a, (Next, State)>, SendError<()>>>,
{
    if let Poll::Ready(Err(fault)) = connection.poll_upload(cx) {
        return Poll::Ready(Step::Failed(fault));
    }
    if connection.has_ended() {
        // An upstream that has closed takes nothing more.
        return match connection.is_uploading() && connection.poll_closed(cx).is_pending() {
            true => Poll::Pending,
            false => Poll::Ready(Step::Over),
        };
    }
    if permit.is_none() {
        match ready!(room.poll(cx)) {
            Ok(place) => *permit = Some(place),
            Err(_) => return Poll::Ready(Step::Over),
        }
    }
    connection.poll_frame(cx).map(Step::Frame)
}
