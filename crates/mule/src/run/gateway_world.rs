//! The world of an application in a running gateway: its connections, queues, and clock.

use std::sync::Arc;

use fusebox_gateway::parts::{Clock, Worker, WorkerRef};

use super::build::LiveApp;
use super::outside::{Answer, Call, Pending, PublishFault, Published, SendFault, World};
use crate::jiff::{Timestamp, tz::TimeZone};
use crate::{Random, Typed};

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

    fn publish<'a>(&'a self, queue: &'a Arc<str>, message: Typed) -> Pending<'a, Published> {
        Box::pin(async move {
            match self.app.queues.find(queue) {
                Some(queue) => queue.publish(message).await,
                None => {
                    let why = format!("unknown queue '{queue}'");
                    Err(PublishFault::NotAvailable(why))
                }
            }
        })
    }

    fn spawn(&self, run: Pending<'static, ()>) {
        let token = self.worker.task_token();
        tokio::spawn(async move {
            run.await;
            drop(token);
        });
    }
}
