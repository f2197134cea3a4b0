//! The world of an application in a running gateway: its connections, queues, and clock.

use std::sync::Arc;
use std::time::Duration;

use fusebox_gateway::parts::{Clock, Worker, WorkerRef};

use super::build::LiveApp;
use super::outside::{Answer, Call, Parcel, Pending, PublishFault, Published, SendFault, World};
use super::queues::LiveQueue;
use crate::Random;
use crate::jiff::{Timestamp, tz::TimeZone};

/// The time of a clock, to the millisecond.
pub fn wall_time(clock: &Clock) -> Timestamp {
    let millis = i64::try_from(clock.wall_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// The world of one run: the run's worker, and the application at the start of the run.
#[derive(Debug)]
pub struct GatewayWorld {
    app: Arc<LiveApp>,
    worker: Arc<Worker>,
    worker_ref: WorkerRef,
}

impl GatewayWorld {
    /// Makes the world of a run on a worker.
    pub fn of(app: &Arc<LiveApp>, worker: &Arc<Worker>) -> Arc<dyn World> {
        Arc::new(GatewayWorld {
            app: app.clone(),
            worker: worker.clone(),
            worker_ref: worker.to_ref(),
        })
    }
}

impl GatewayWorld {
    fn queue(&self, name: &str) -> Result<&Arc<LiveQueue>, PublishFault> {
        let unknown = || PublishFault::NotAvailable(format!("unknown queue '{name}'"));
        self.app.queues.find(name).ok_or_else(unknown)
    }
}

impl World for GatewayWorld {
    fn now(&self) -> Timestamp {
        wall_time(&self.worker_ref.clock)
    }

    fn zone(&self) -> &TimeZone {
        &self.app.zone
    }

    fn random(&self) -> &Random {
        &self.app.random
    }

    fn send(&self, call: Call) -> Pending<'_, Result<Answer, SendFault>> {
        Box::pin(self.app.clients.send(call, &self.worker_ref))
    }

    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        parcel: Parcel,
        wait: Duration,
    ) -> Pending<'a, Published> {
        Box::pin(async move { self.queue(queue)?.publish(parcel, wait).await })
    }

    fn consume<'a>(
        &'a self,
        queue: &'a Arc<str>,
        wait: Duration,
    ) -> Pending<'a, Result<Option<Parcel>, PublishFault>> {
        Box::pin(async move { self.queue(queue)?.consume(wait).await })
    }

    fn spawn(&self, run: Pending<'static, ()>) {
        let token = self.worker.task_token();
        tokio::spawn(async move {
            run.await;
            drop(token);
        });
    }
}
