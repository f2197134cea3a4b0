//! Starts flows on a schedule and on messages in queues.
//!
//! The tasks run on the gateway's own runtime, once for the gateway and not once for each worker. When a plan is
//! replaced, its tasks stop starting flows; runs that are in progress continue to their end.

use std::sync::Arc;
use std::time::Duration;

use fusebox_gateway::parts::Worker;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::build::LiveApp;
use super::gateway_world::GatewayWorld;
use super::listener;
use super::queues::LiveQueue;
use crate::Event;
use crate::app::{FlowId, Source};

/// The pause of a consumer after the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The tasks that start an application's flows; dropping it stops them.
#[derive(Debug)]
pub struct Tasks {
    _stop: watch::Sender<()>,
}

/// The flow that one task starts.
struct Starter {
    app: Arc<LiveApp>,
    worker: Arc<Worker>,
    flow: FlowId,
}

impl Tasks {
    /// Spawns the tasks on the current runtime. `worker` is that of the gateway's own runtime and waits for the runs at
    /// shutdown.
    pub fn begin(app: &Arc<LiveApp>, worker: &Arc<Worker>) -> Tasks {
        let (stop, stopped) = watch::channel(());
        for (at, flow) in app.engine.app().flows.iter().enumerate() {
            let starter = || Starter {
                app: app.clone(),
                worker: worker.clone(),
                flow: FlowId(at),
            };
            match &flow.source {
                Some(Source::Scheduler { every, delay }) => {
                    tokio::spawn(starter().on_time(*delay, *every, stopped.clone()));
                }
                Some(Source::Queue {
                    queue, consumers, ..
                }) => {
                    let Some(queue) = app.queues.find(queue) else {
                        tracing::error!(%queue, flow = %flow.name, "unknown queue");
                        continue;
                    };
                    let at_once = flow.max_concurrency.unwrap_or(usize::MAX);
                    for _ in 0..(*consumers).min(at_once).max(1) {
                        tokio::spawn(starter().on_messages(queue.clone(), stopped.clone()));
                    }
                }
                Some(Source::Http(_)) | None => {}
            }
        }
        Tasks { _stop: stop }
    }
}

impl Starter {
    /// Starts a run after `delay` and then at every `every`. Runs never overlap, not even with one that an earlier plan
    /// has started.
    async fn on_time(self, delay: Duration, every: Duration, mut stopped: watch::Receiver<()>) {
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(delay) => {}
        }
        let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                _ = stopped.changed() => return,
                _ = ticks.tick() => {}
            }
            if let Some(turn) = self.app.gate(self.flow).turn() {
                self.run(Event::default()).await;
                drop(turn);
            }
        }
    }

    async fn on_messages(self, queue: Arc<LiveQueue>, mut stopped: watch::Receiver<()>) {
        loop {
            let waiting = tokio::select! {
                biased;
                _ = stopped.changed() => return,
                waiting = queue.next() => waiting,
            };
            match queue.open(waiting).await {
                Ok(Some(parcel)) => {
                    let token = self.worker.task_token();
                    let world = GatewayWorld::of(&self.app, &self.worker);
                    let engine = &self.app.engine;
                    let new_id = listener::new_id();
                    engine.receive(&world, self.flow, parcel, new_id).await;
                    drop(token);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "a message of a queue cannot be taken");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Runs the flow to its end; the engine logs an error that no handler accepts.
    async fn run(&self, event: Event) {
        let token = self.worker.task_token();
        let world = GatewayWorld::of(&self.app, &self.worker);
        let event = Event {
            correlation_id: listener::new_id(),
            ..event
        };
        self.app.engine.run(&world, self.flow, event).await.ok();
        drop(token);
    }
}
