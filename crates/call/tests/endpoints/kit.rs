//! A world of endpoints that fail or work as a test says, on virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_breaker::{Call, Outcome, Timestamp};
use fusebox_call::endpoints::{
    Ask, ChoiceRules, Chosen, EjectionChange, EndpointSpec, EndpointView, Endpoints, Tried, Watch,
};
use fusebox_call::{Balance, Ejection};

pub struct World {
    pub endpoints: Endpoints,
    pub now: Timestamp,
    pub chance: fastrand::Rng,
    /// Attempts by index.
    pub hits: Vec<u32>,
    /// The indexes that fail.
    pub failing: Vec<usize>,
    pub changes: Arc<Changes>,
}

#[derive(Default)]
pub struct Changes(pub Mutex<Vec<EjectionChange>>);

impl Watch for Changes {
    fn equip(&self, _: &str, builder: fusebox_breaker::Builder) -> fusebox_breaker::Builder {
        builder.seed(7)
    }

    fn ejection(&self, change: &EjectionChange) {
        self.0.lock().unwrap().push(change.clone());
    }
}

/// Endpoints `a:1`, `b:1` and so on, with those weights.
pub fn specs(weights: &[u32]) -> Vec<EndpointSpec> {
    let names = ('a'..='z').map(|letter| format!("{letter}:1"));
    let specs = names
        .zip(weights)
        .map(|(name, weight)| EndpointSpec::at(&name).weighing(*weight));
    specs.collect()
}

/// Ejection with its defaults, but an exact cooldown.
pub fn ejection() -> Ejection {
    let mut ejection = Ejection::default();
    ejection.breaker.cooldown.jitter = 0.0;
    ejection
}

pub fn rules(balance: Balance) -> ChoiceRules {
    ChoiceRules {
        balance,
        ejection: Some(ejection()),
    }
}

impl World {
    pub fn new(weights: &[u32]) -> World {
        World::with(weights, &rules(Balance::RoundRobin))
    }

    pub fn ejecting(weights: &[u32], change: impl FnOnce(&mut Ejection)) -> World {
        let mut rules = rules(Balance::RoundRobin);
        change(rules.ejection.as_mut().unwrap());
        World::with(weights, &rules)
    }

    pub fn with(weights: &[u32], rules: &ChoiceRules) -> World {
        let changes = Arc::new(Changes::default());
        let now = Timestamp::from_secs(1);
        World {
            endpoints: Endpoints::new("orders", &specs(weights), rules, changes.clone(), now)
                .unwrap(),
            now,
            chance: fastrand::Rng::with_seed(1),
            hits: vec![0; weights.len()],
            failing: Vec::new(),
            changes,
        }
    }

    pub fn choose(&mut self, ask: Ask<'_>) -> Chosen {
        let chosen = self.endpoints.set().choose(&ask, &mut self.chance);
        self.hits[chosen.index()] += 1;
        chosen
    }

    pub fn first(&mut self) -> Chosen {
        self.choose(Ask::first(self.now))
    }

    /// Ends an attempt as its endpoint is, after 10 ms. True if it succeeded.
    pub fn end(&mut self, chosen: Chosen) -> bool {
        let fails = self.failing.contains(&chosen.index());
        let outcome = if fails {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        self.now = self.now + Duration::from_millis(10);
        chosen.end(
            Call::from(outcome).lasting(Duration::from_millis(10)),
            self.now,
        );
        !fails
    }

    /// A call of at most two attempts. True if its client sees a success.
    pub fn call(&mut self) -> bool {
        let mut tried = Tried::NONE;
        (0..2).any(|_| {
            let ask = Ask {
                tried: &tried,
                ..Ask::first(self.now)
            };
            let chosen = self.choose(ask);
            tried.add(&chosen);
            self.end(chosen)
        })
    }

    /// Calls of one attempt each.
    pub fn attempts(&mut self, times: usize) {
        for _ in 0..times {
            let chosen = self.first();
            self.end(chosen);
        }
    }

    /// The hits of that many attempts alone.
    pub fn hits_of(&mut self, times: usize) -> Vec<u32> {
        self.hits.fill(0);
        self.attempts(times);
        self.hits.clone()
    }

    pub fn views(&self) -> Vec<EndpointView> {
        self.endpoints.set().views(self.now)
    }

    pub fn ejected(&self) -> Vec<bool> {
        self.views().iter().map(|view| view.ejected).collect()
    }

    pub fn would_eject(&self) -> Vec<bool> {
        self.views().iter().map(|view| view.would_eject).collect()
    }

    pub fn wait(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
    }
}

/// Within five percent of those shares of the sum.
pub fn assert_shares(hits: &[u32], shares: &[u32]) {
    let (all, parts) = (hits.iter().sum::<u32>(), shares.iter().sum::<u32>());
    for (hits, share) in hits.iter().zip(shares) {
        let meant = f64::from(all * share) / f64::from(parts);
        assert!(
            (f64::from(*hits) - meant).abs() <= 0.05 * meant,
            "{hits} for {meant}"
        );
    }
}
