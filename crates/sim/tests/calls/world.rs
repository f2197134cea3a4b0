//! The world: gateways with real breakers, attempts and endpoints, before modelled servers, on virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Breaker, Builder, Outcome, OwnedPermit, Timestamp};
use fusebox_call::attempts::{Answer, Attempts, Body, End, Moment, Next, Resume, RetryResult};
use fusebox_call::budget::RetryBudget;
use fusebox_call::endpoints::{Ask, ChoiceRules, Chosen, EndpointSpec, Endpoints, Tried, Watch};
use http::StatusCode;

use crate::parts::{Ended, Job, Mode, Plan, Second, Server};

/// A gateway.
pub struct Gateway {
    pub breaker: Breaker,
    pub endpoints: Endpoints,
    budget: RetryBudget,
    /// Attempts at each endpoint.
    pub hits: Vec<usize>,
    /// Ends of attempts at each endpoint: successes, failures.
    pub attempts: Vec<(usize, usize)>,
    /// Results of calls that could have been retried.
    pub retries: Vec<RetryResult>,
}

struct Running {
    gateway: usize,
    began: Timestamp,
    permit: Option<OwnedPermit>,
    attempts: Attempts,
    tried: Tried,
    chosen: Option<Chosen>,
    /// The number of the attempt in flight, free repeats included.
    attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    Failed(Job),
    Done(usize, Job),
    Limit(Job),
    Resumes(usize),
}

pub struct World {
    pub now: Timestamp,
    plan: Plan,
    pub gateways: Vec<Gateway>,
    servers: Vec<Server>,
    calls: Vec<Running>,
    /// The end of each call that has ended, in the order of the ends.
    pub ends: Vec<Ended>,
    pub seconds: Vec<Second>,
    events: BinaryHeap<Reverse<(Timestamp, usize, Event)>>,
    /// The number of events so far, which orders those of one moment.
    count: usize,
    /// Calls a second at each gateway, while they come at random.
    rate: f64,
    random: fastrand::Rng,
}

struct Seeded(u64);

impl Watch for Seeded {
    fn equip(&self, _: &str, builder: Builder) -> Builder {
        builder.seed(self.0)
    }
}

impl World {
    /// Gateways before servers, each with that many workers and that mean time of work.
    pub fn new(seed: u64, plan: Plan, gateways: usize, servers: usize, workers: usize) -> World {
        let now = Timestamp::from_nanos(1_000_000_000);
        let mut random = fastrand::Rng::with_seed(seed);
        let specs: Vec<_> = (1..=servers)
            .map(|number| EndpointSpec::at(&format!("10.0.0.{number}:80")))
            .collect();
        let rules = ChoiceRules {
            ejection: plan.ejection.clone(),
            ..ChoiceRules::default()
        };
        let gateways = (0..gateways).map(|_| {
            let settings = Arc::new(plan.breaker.clone());
            let watch = Arc::new(Seeded(random.u64(..)));
            Gateway {
                breaker: Breaker::builder("orders", settings)
                    .seed(random.u64(..))
                    .build()
                    .unwrap(),
                endpoints: Endpoints::new("orders", &specs, &rules, watch, now).unwrap(),
                budget: RetryBudget::new(plan.budget, now),
                hits: vec![0; servers],
                attempts: vec![(0, 0); servers],
                retries: Vec::new(),
            }
        });
        let gateways = gateways.collect();
        World {
            now,
            gateways,
            servers: (0..servers).map(|_| Server::new(workers)).collect(),
            calls: Vec::new(),
            ends: Vec::new(),
            seconds: Vec::new(),
            events: BinaryHeap::new(),
            count: 0,
            rate: 0.0,
            random,
            plan,
        }
    }

    /// Lets calls come at random at every gateway from now on.
    pub fn load(&mut self, rate: f64) {
        self.rate = rate;
        for gateway in 0..self.gateways.len() {
            self.next_arrival(gateway);
        }
    }

    pub fn set_mode(&mut self, server: usize, mode: Mode) {
        self.servers[server].mode = mode;
        self.work(server);
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(Reverse((at, ..))) = self.events.peek()
            && *at <= until
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                return;
            };
            self.now = at;
            self.happens(event);
        }
        self.now = until;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives(gateway) => {
                self.arrive(gateway);
                self.next_arrival(gateway);
            }
            Event::Failed(job) => self.answered(job, StatusCode::SERVICE_UNAVAILABLE),
            Event::Done(server, job) => {
                self.servers[server].busy -= 1;
                self.work(server);
                self.answered(job, StatusCode::OK);
            }
            Event::Limit(job) => self.ended(job, End::TimedOut),
            Event::Resumes(call) => self.resume(call),
        }
    }

    fn at(&mut self, time: Timestamp, event: Event) {
        self.count += 1;
        self.events.push(Reverse((time, self.count, event)));
    }

    fn next_arrival(&mut self, gateway: usize) {
        let wait = -(1.0 - self.random.f64()).ln() / self.rate;
        let at = self.now + Duration::from_secs_f64(wait);
        self.at(at, Event::Arrives(gateway));
    }

    fn second(&mut self, at: Timestamp) -> &mut Second {
        let index = (at.as_nanos() / 1_000_000_000) as usize - 1;
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }

    /// Begins a call.
    pub fn arrive(&mut self, gateway: usize) {
        let now = self.now;
        self.second(now).calls += 1;
        let Ok(permit) = self.gateways[gateway].breaker.admit_owned(now) else {
            self.second(now).refused += 1;
            self.ends.push(Ended::Refused);
            return;
        };
        let budget = &self.gateways[gateway].budget;
        let facts = self.plan.facts(budget, permit.is_probe());
        self.calls.push(Running {
            gateway,
            began: now,
            attempts: Attempts::begin(&facts, now),
            permit: Some(permit),
            tried: Tried::NONE,
            chosen: None,
            attempt: 0,
        });
        self.attempt(self.calls.len() - 1);
    }

    /// Sends the next attempt of a call.
    fn attempt(&mut self, call: usize) {
        let (now, running) = (self.now, &mut self.calls[call]);
        let gateway = &mut self.gateways[running.gateway];
        let permit = running.permit.as_ref().filter(|permit| permit.is_probe());
        let ask = Ask {
            now,
            replayable: true,
            hash: None,
            tried: &running.tried,
            upstream_probe: permit.map(OwnedPermit::generation),
        };
        let chosen = gateway.endpoints.set().choose(&ask, &mut self.random);
        running.tried.add(&chosen);
        running.attempt += 1;
        let (server, attempt) = (chosen.index(), running.attempt);
        running.chosen = Some(chosen);
        gateway.hits[server] += 1;
        let facts = self.plan.facts(&gateway.budget, permit.is_some());
        let limit = Attempts::limit(&facts, now.saturating_since(running.began));
        let job = Job { call, attempt };
        self.second(now).attempts += 1;
        self.at(now + limit, Event::Limit(job));
        if self.servers[server].mode == Mode::Failing {
            self.at(now + Duration::from_millis(1), Event::Failed(job));
        } else {
            self.servers[server].queue.push_back(job);
            self.work(server);
        }
    }

    /// Gives waiting attempts to free workers.
    fn work(&mut self, server: usize) {
        while let Some((job, took)) = self.servers[server].begin(&mut self.random) {
            self.at(self.now + took, Event::Done(server, job));
        }
    }

    fn answered(&mut self, job: Job, status: StatusCode) {
        let judged = match status.is_server_error() {
            true => Outcome::Failure,
            false => Outcome::Success,
        };
        let answer = Answer {
            status,
            judged,
            retry_after: None,
            is_from_fusebox: false,
            is_long: false,
            grpc_status: None,
            is_final: false,
        };
        self.ended(job, End::Answered(answer));
    }

    /// Ends an attempt, unless it was given up before.
    fn ended(&mut self, job: Job, end: End) {
        let (now, draw) = (self.now, self.random.f64());
        let running = &mut self.calls[job.call];
        if running.attempt != job.attempt || running.chosen.is_none() {
            return;
        }
        let gateway = &mut self.gateways[running.gateway];
        let is_probe = running.permit.as_ref().is_some_and(OwnedPermit::is_probe);
        let moment = Moment {
            now,
            used: now.saturating_since(running.began),
            is_closed: !gateway.breaker.may_probe(now),
            body: Body::None,
            is_endpoint_probe: running.chosen.as_ref().is_some_and(Chosen::is_probe),
            draw,
        };
        let facts = self.plan.facts(&gateway.budget, is_probe);
        let next = running.attempts.ended(&facts, &end, &moment);
        let outcome = match end {
            End::Answered(answer) => answer.judged,
            _ => Outcome::Failure,
        };
        if let Some(chosen) = running.chosen.take() {
            let counts = &mut gateway.attempts[chosen.index()];
            match outcome {
                Outcome::Success => counts.0 += 1,
                _ => counts.1 += 1,
            }
            chosen.end(outcome, now);
        }
        match next {
            Next::RetryAfter(pause) => self.at(now + pause, Event::Resumes(job.call)),
            Next::Return(result) => {
                gateway.retries.extend(result);
                let ended = match end {
                    End::Answered(answer) => Ended::Answered(answer.status),
                    _ => Ended::TimedOut,
                };
                self.end(job.call, outcome, ended);
            }
            Next::RepeatFree | Next::Wait => unreachable!("no connections, no hedges"),
        }
    }

    fn resume(&mut self, call: usize) {
        let (now, running) = (self.now, &mut self.calls[call]);
        let gateway = &mut self.gateways[running.gateway];
        let is_closed = !gateway.breaker.may_probe(now);
        let facts = self.plan.facts(&gateway.budget, false);
        let used = now.saturating_since(running.began);
        match running
            .attempts
            .after_backoff(&facts, used, is_closed, true)
        {
            Resume::Attempt => self.attempt(call),
            Resume::Return(result) => {
                gateway.retries.extend(result);
                let failed = Ended::Answered(StatusCode::SERVICE_UNAVAILABLE);
                self.end(call, Outcome::Failure, failed);
            }
        }
    }

    /// Ends a call with the outcome of its last attempt.
    fn end(&mut self, call: usize, outcome: Outcome, ended: Ended) {
        let (now, running) = (self.now, &mut self.calls[call]);
        let began = running.began;
        if let Some(permit) = running.permit.take() {
            permit.record(outcome, now);
        }
        self.ends.push(ended);
        if outcome == Outcome::Success {
            self.second(began).good += 1;
        }
    }
}
