//! The program of a Mule application, as a plan carries it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fusebox_dataweave::jiff::{Timestamp, tz::TimeZone};
use fusebox_plan::dialect::{OwnTimeout, Program, Schedule as Shown, Target, quote};
use fusebox_plan::plan::Endpoint;
use serde_json::{Map, Value, json};

use super::app::{App, Does, FlowId, Processor, Requester, Source};
use super::show::show_flows;

impl App {
    /// The longest time that a request to a configuration is given for its answer; `None`: an expression says it.
    fn longest_wait(&self, requester: &Requester) -> Option<OwnTimeout> {
        let name = quote(&requester.name);
        let usual = match requester.response_timeout {
            Some(time) => (time, format!("the `responseTimeout` of {name}")),
            None => {
                let setting = "the application's `defaultResponseTimeout`";
                (self.response_timeout, setting.to_owned())
            }
        };
        let mut longest = Some(usual);
        let mut see = |processor: &Processor| {
            if let Does::Request(request) = &processor.does
                && request
                    .config
                    .as_ref()
                    .is_some_and(|it| it.name == requester.name)
                && let Some(given) = &request.response_timeout
            {
                let millis = given.literal().and_then(|it| it.trim().parse().ok());
                let own = millis.map(|millis| {
                    let setting = format!("the `responseTimeout` of a request to {name}");
                    (Duration::from_millis(millis), setting)
                });
                let both = longest.take().zip(own);
                longest = both.map(|(one, other)| if one.0 < other.0 { other } else { one });
            }
        };
        self.walk(&mut see);
        longest.map(|(time, setting)| OwnTimeout { time, setting })
    }
}

impl Program for App {
    fn dialect(&self) -> &'static str {
        "mule"
    }

    fn equals(&self, other: &dyn Program) -> bool {
        other.of::<App>() == Some(self)
    }

    fn same_step(&self, step: usize, other: &dyn Program, other_step: usize) -> bool {
        other.of::<App>().is_some() && step == other_step
    }

    fn changed_parts(&self, before: Option<&dyn Program>) -> Vec<&'static str> {
        match before {
            Some(before) if self.equals(before) => Vec::new(),
            _ => vec!["application"],
        }
    }

    fn targets(&self) -> Vec<Target> {
        let target = |requester: &Arc<Requester>| Target {
            name: requester.name.clone(),
            service: requester.name.clone(),
            short_name: None,
            address: Endpoint::new(requester.tls, &requester.host, requester.port).url(),
            request_timeout: self.longest_wait(requester),
        };
        let named = self.requesters.iter().filter(|it| !it.host.is_empty());
        named.map(target).collect()
    }

    /// The circuits that flows build by hand: entries of object stores, shown in the same list as breakers.
    fn breakers(&self) -> Vec<Arc<str>> {
        self.circuits.iter().map(|it| it.name.clone()).collect()
    }

    fn schedules(&self, now: SystemTime) -> Vec<Shown> {
        let Ok(now) = Timestamp::try_from(now) else {
            return Vec::new();
        };
        let here = TimeZone::system();
        let running = self.flows.iter().filter(|flow| !flow.is_stopped);
        let schedules = running.filter_map(|flow| match &flow.source {
            Some(Source::Scheduler(schedule)) => Some((flow, schedule)),
            _ => None,
        });
        let shown = schedules.map(|(flow, schedule)| Shown {
            name: flow.name.clone(),
            next: schedule.next(now, &here).map(|(next, zone)| {
                let seconds = next.as_second();
                let next = Timestamp::from_second(seconds).unwrap_or(next);
                next.display_with_offset(zone.to_offset(next)).to_string()
            }),
        });
        shown.collect()
    }

    fn show_step(&self, step: usize) -> Map<String, Value> {
        let flow = self.flow(FlowId(step));
        Map::from_iter([("flow".to_owned(), json!(&*flow.name))])
    }

    fn show(&self) -> Map<String, Value> {
        Map::from_iter([("flows".to_owned(), show_flows(self))])
    }
}
