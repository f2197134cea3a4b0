//! Channels: messages from one handler to others, each of which receives every message.

use std::sync::Arc;
use std::time::Duration;

use fusebox_gateway::parts::{Worker, WorkerRef};
use tokio::sync::Semaphore;

use super::build::LiveApp;
use super::handler::{self, LiveHandler};
use crate::{Fault, Map, Value};

/// The most messages of a channel in progress at once, in addition to its capacity: a handler that publishes messages
/// to itself must not exhaust memory.
const AT_WORK_MAX: usize = 1024;

/// The longest wait of a message for room.
const ROOM_WAIT: Duration = Duration::from_secs(30);

/// The context of a run: worker, clock, application.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The worker of the run.
    pub worker: Arc<Worker>,
    /// The clock and the worker's number.
    pub worker_ref: WorkerRef,
    /// The application at the time when the run began.
    pub app: Arc<LiveApp>,
}

/// A running channel of an application.
#[derive(Debug)]
pub struct LiveChannel {
    /// The channel's name, unique in the application.
    pub name: Arc<str>,
    /// The handlers of its messages.
    pub handlers: Vec<Arc<LiveHandler>>,
    room: Arc<Semaphore>,
}

impl LiveChannel {
    /// A channel with room for `capacity` waiting messages.
    pub fn new(name: Arc<str>, capacity: usize, handlers: Vec<Arc<LiveHandler>>) -> LiveChannel {
        let room = AT_WORK_MAX
            .saturating_add(capacity)
            .min(Semaphore::MAX_PERMITS);
        LiveChannel {
            name,
            handlers,
            room: Arc::new(Semaphore::new(room)),
        }
    }
}

/// Publishes a message on a channel. The publisher's worker handles it, and does not shut down before.
///
/// # Errors
/// Fails if there is no such channel, or no room for the message in time.
pub async fn publish(channel: &str, data: Value, context: &RunContext) -> Result<(), Fault> {
    if channel.is_empty() {
        return Err(Fault::plain("channel name must be specified"));
    }
    let found = context.app.channel(channel);
    let found = found
        .ok_or_else(|| Fault::plain(format!("channel '{channel}' not registered with engine")))?;
    for handler in &found.handlers {
        let room = tokio::time::timeout(ROOM_WAIT, found.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else {
            return Err(Fault::plain(format!("channel '{channel}' is full")));
        };
        let (handler, context) = (handler.clone(), context.clone());
        let token = context.worker.task_token();
        let output = Map::from([("data".into(), data.clone())]);
        tokio::spawn(async move {
            let name = handler.plan.name.clone();
            if let Err(error) = handler::run(handler, output, context).await {
                tracing::error!(handler = %name, %error, "a message could not be handled");
            }
            drop((room, token));
        });
    }
    Ok(())
}
