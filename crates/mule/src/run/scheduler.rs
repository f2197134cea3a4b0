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
use super::gateway_world::{GatewayWorld, wall_time};
use super::listener;
use super::queues::LiveQueue;
use crate::app::{FlowId, Source, When};
use crate::jiff::tz::TimeZone;
use crate::{Cron, Event};

/// The longest sleep before the clock is read again.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

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
            match flow.source.as_ref().filter(|_| !flow.is_stopped) {
                Some(Source::Scheduler(schedule)) => {
                    let starter = Arc::new(starter());
                    let (overlaps, stopped) = (schedule.overlaps, stopped.clone());
                    match &schedule.when {
                        When::Every { every, delay } => {
                            tokio::spawn(starter.on_time(*delay, *every, overlaps, stopped));
                        }
                        When::Cron { cron, zone } => {
                            let zone = zone.clone().unwrap_or_else(|| app.zone.clone());
                            tokio::spawn(starter.on_cron(cron.clone(), zone, overlaps, stopped));
                        }
                    }
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
    /// Starts a run after `delay` and then at every `every`.
    async fn on_time(
        self: Arc<Self>,
        delay: Duration,
        every: Duration,
        overlaps: bool,
        mut stopped: watch::Receiver<()>,
    ) {
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
            self.start(overlaps).await;
        }
    }

    /// Starts a run at each time of a cron expression. Times that pass while the machine sleeps are one.
    async fn on_cron(
        self: Arc<Self>,
        cron: Box<Cron>,
        zone: TimeZone,
        overlaps: bool,
        mut stopped: watch::Receiver<()>,
    ) {
        let now = || wall_time(&self.app.clock);
        let mut after = now();
        while let Some(next) = cron.next(after, &zone) {
            loop {
                let left = next.duration_since(now());
                let Ok(left) = Duration::try_from(left) else {
                    break;
                };
                if left.is_zero() {
                    break;
                }
                // The clock may be set in the meantime.
                tokio::select! {
                    biased;
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(left.min(CLOCK_CHECK)) => {}
                }
            }
            self.start(overlaps).await;
            after = now().max(next);
        }
        let flow = &self.app.engine.app().flow(self.flow).name;
        tracing::warn!(%flow, cron = cron.text, "the schedule has no further time");
    }

    /// Starts a run, and waits for its end unless runs may overlap. Runs that may not are never two, not even with one
    /// that an earlier plan has started.
    async fn start(self: &Arc<Self>, overlaps: bool) {
        let gate = self.app.gate(self.flow);
        if overlaps {
            let Some(place) = gate.overlapping() else {
                let flow = &self.app.engine.app().flow(self.flow).name;
                tracing::warn!(%flow, "a run is left out: too many run already");
                return;
            };
            let starter = self.clone();
            tokio::spawn(async move {
                starter.run(Event::default()).await;
                drop(place);
            });
            return;
        }
        if let Some(turn) = gate.turn() {
            self.run(Event::default()).await;
            drop(turn);
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
