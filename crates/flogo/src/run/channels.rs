//! Channels: messages that one handler leaves for others, each of which takes every message.

use std::sync::Arc;
use std::time::Duration;

use fusebox_gateway::parts::{Worker, WorkerRef};
use tokio::sync::Semaphore;

use super::build::LiveApp;
use super::handler::{self, LiveHandler};
use crate::{Fault, Map, Value};

/// How many messages of a channel may be at work at once, beside those that it has room for: a
/// handler that leaves messages for itself must not fill the memory.
const AT_WORK_MAX: usize = 1024;

/// How long a message waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(30);

/// What a run needs of its surroundings.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The worker that runs it.
    pub worker: Arc<Worker>,
    /// The clock and the worker's number.
    pub worker_ref: WorkerRef,
    /// The application as it was when the run began.
    pub app: Arc<LiveApp>,
}

/// A channel as it runs.
#[derive(Debug)]
pub struct LiveChannel {
    /// Its name.
    pub name: Arc<str>,
    /// Who takes its messages.
    pub handlers: Vec<Arc<LiveHandler>>,
    room: Arc<Semaphore>,
}

impl LiveChannel {
    /// A channel with room for `capacity` messages that wait.
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

/// Leaves a message on a channel. It is handled by the publisher's worker, which does not end before.
///
/// # Errors
/// If there is no such channel, or no room for the message.
pub async fn publish(channel: &str, data: Value, around: &Surroundings) -> Result<(), Fault> {
    if channel.is_empty() {
        return Err(Fault::plain("channel name must be specified"));
    }
    let found = around
        .app
        .channel(channel)
        .ok_or_else(|| Fault::plain(format!("channel '{channel}' not registered with engine")))?;
    for handler in &found.handlers {
        let room = tokio::time::timeout(ROOM_WAIT, found.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else {
            return Err(Fault::plain(format!("channel '{channel}' is full")));
        };
        let (handler, around) = (handler.clone(), around.clone());
        let token = around.worker.task_token();
        let mut output = Map::new();
        output.insert("data".into(), data.clone());
        tokio::spawn(async move {
            let name = handler.plan.name.clone();
            if let Err(error) = handler::run(handler, output, around).await {
                tracing::error!(handler = %name, %error, "a message could not be handled");
            }
            drop((room, token));
        });
    }
    Ok(())
}
