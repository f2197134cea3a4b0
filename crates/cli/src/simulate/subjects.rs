//! The breakers of a plan that can be simulated: those of its upstreams, those before an
//! application's requests, and those that programs ask.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Mode, Settings};
use fusebox_plan::Plan;
use fusebox_plan::plan::{Breaker, KeyPart, Probe, Share};

/// A breaker of the plan, or the family of breakers that its keys make.
pub struct Subject {
    /// The upstream's name, with which the names of keyed breakers begin.
    pub name: Arc<str>,
    /// Further names that a log may have for it.
    pub aliases: Vec<Arc<str>>,
    /// The breaker as the plan has it.
    pub breaker: Breaker,
    /// The breaker's settings, enforced also where the file only monitors.
    pub settings: Arc<Settings>,
    /// The time after which a call is given up; `None`: not known.
    pub limit: Option<Duration>,
}

impl Subject {
    fn new(
        name: &Arc<str>,
        aliases: &[Arc<str>],
        breaker: &Breaker,
        limit: Option<Duration>,
    ) -> Option<Subject> {
        (breaker.settings.mode != Mode::Disabled).then(|| Subject {
            name: name.clone(),
            aliases: aliases.to_vec(),
            settings: Arc::new(Settings {
                mode: Mode::Enforce,
                ..breaker.settings.clone()
            }),
            breaker: breaker.clone(),
            limit,
        })
    }

    /// True if each attempt is a call of its own: an endpoint's breaker counts attempts.
    pub fn by_attempt(&self) -> bool {
        self.breaker.key.0.contains(&KeyPart::Endpoint)
    }

    /// The parts of its settings that a replay leaves out, or treats in its own way.
    pub fn limits(&self) -> Vec<String> {
        let name = &self.name;
        let mut limits = Vec::new();
        if self.breaker.settings.mode == Mode::Monitor {
            limits.push(format!(
                "{name}: `mode: monitor` is replayed as if it refused"
            ));
        }
        if self.breaker.probe == Probe::Health {
            limits.push(format!(
                "{name}: the log has no health checks, so requests probe in their place"
            ));
        }
        if self.breaker.share != Share::None {
            limits.push(format!(
                "{name}: `share` is left out; the log is replayed as if one process had all its calls"
            ));
        }
        if self.breaker.settings.retry_after != fusebox_breaker::RetryAfter::Ignore {
            limits.push(format!(
                "{name}: the log has no Retry-After, so cooldowns are those of the settings"
            ));
        }
        limits
    }
}

/// All breakers of a plan that are not disabled.
pub fn of(plan: &Plan) -> Vec<Subject> {
    let upstreams = plan.upstreams.iter().filter_map(|upstream| {
        let limit = upstream.timeout.of_call();
        Subject::new(&upstream.name, &[], &upstream.breaker, Some(limit))
    });
    let guards = plan.guards.iter().filter_map(|guard| {
        let limit = guard.timeout.total.or(guard.timeout.request);
        Subject::new(&guard.name, &guard.targets, &guard.breaker, limit)
    });
    let services = plan.breakers.iter();
    let services =
        services.filter_map(|service| Subject::new(&service.name, &[], &service.breaker, None));
    upstreams.chain(guards).chain(services).collect()
}
