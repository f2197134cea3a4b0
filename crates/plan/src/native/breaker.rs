//! The `breaker:` section: as written, then checked and made into settings.

use std::time::Duration;

use fusebox_breaker::{
    Cooldown, HalfOpen, Mode, OnAbandoned, OnOverflow, OnPanic, OnProbeTimeout, RetryAfter, Rule,
    Settings,
    settings::{Compare, History, JudgeOn, WindowKind},
};
use fusebox_call::GrpcCodes;

use super::cooldown::{DraftCooldown, read_cooldown};
use super::draft::Reader;
use super::half_open::{self, DraftHalfOpen, read_half_open};
use super::names;
use super::ramp::{DraftRamp, read_ramp};
use super::sample_calls::{self, Findings};
use super::share::{DraftShare, read_share};
use super::trip::{DraftTrip, read_trips};
use super::validate::validate;
use crate::diagnostic::{At, Notes, Place, place_of, value_of};
use crate::expression::Fault;
use crate::failure::{Failure, Ignore};
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::{Breaker, Key, KeyPart, Probe, Share};
use crate::tree::{Node, place_within};
use crate::words::show_duration;

/// The most bytes of a body that a failure expression may use.
const FAILURE_BODY_MAX: u64 = 1 << 20;
/// The default of `max_keys`.
const KEYS_MAX: usize = 10_000;
/// The setting of a call's time, in messages.
pub(crate) const TIMEOUT: &str = "`timeout.request`";
/// The default of `settle`.
const SETTLE: Duration = Duration::from_secs(5);

/// The times of the calls that a breaker judges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTimes<'a> {
    /// The time past which no call waits for its answer.
    pub request: Duration,
    /// The setting that says so, in messages: `timeout.request` or an application's own.
    pub setting: &'a str,
    /// The time of a probe where the file names none; at most `request`.
    pub probe: Duration,
}

impl CallTimes<'static> {
    /// The times of calls that wait for at most `timeout.request`, as a probe also may.
    pub fn of(request: Duration) -> CallTimes<'static> {
        CallTimes {
            request,
            setting: TIMEOUT,
            probe: request,
        }
    }
}

impl CallTimes<'_> {
    /// The limit and its setting: `timeout.request`, 5s.
    pub fn limit(&self) -> String {
        format!("{}, {}", self.setting, show_duration(self.request))
    }

    /// The mend of a time that no call reaches.
    pub fn mend(&self) -> String {
        format!("lower it, or raise {}", self.setting)
    }
}

#[derive(Debug)]
pub(crate) struct DraftBreaker {
    at: Place,
    /// True in `breakers`, where no upstream is behind it.
    is_service: bool,
    key: Option<At<Key>>,
    /// True if the file has a key, even an invalid one.
    keyed: bool,
    keys_max: Option<At<u64>>,
    mode: Mode,
    trip: Option<Vec<DraftTrip>>,
    judge_on: JudgeOn,
    compare: Compare,
    slow_compare: Compare,
    window: WindowKind,
    history: History,
    idle_after: Option<At<Duration>>,
    on_overflow: Option<At<OnOverflow>>,
    failure: Option<At<Failure>>,
    ignore: Option<At<Ignore>>,
    abandoned: Option<At<Duration>>,
    failure_body: Option<At<u64>>,
    settle: Option<At<Duration>>,
    cooldown: Option<DraftCooldown>,
    half_open: Option<DraftHalfOpen>,
    retry_after: Option<At<RetryAfter>>,
    ramp: Option<DraftRamp>,
    share: Option<DraftShare>,
}

impl DraftBreaker {
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<DraftBreaker> {
        DraftBreaker::read_by(node, &keys::BREAKER, reader)
    }

    /// Reads an entry of `breakers`.
    pub fn read_service(node: &Node, reader: &mut Reader<'_>) -> Option<DraftBreaker> {
        let breaker = DraftBreaker::read_by(node, &keys::SERVICE_BREAKER, reader)?;
        Some(DraftBreaker {
            is_service: true,
            key: None,
            keyed: false,
            failure: None,
            failure_body: None,
            ..breaker
        })
    }

    fn read_by(
        node: &Node,
        table: &'static keys::Table,
        reader: &mut Reader<'_>,
    ) -> Option<DraftBreaker> {
        let breaker = Fields::open(node, table, reader.notes)?;
        let word = |key, notes: &mut Notes| breaker.word(key, notes).map_or(0, |word| word.value);
        let key = breaker.scalar("key", reader.notes).and_then(|scalar| {
            match names::read_key(&scalar.value.text) {
                Ok(key) => Some(At::new(key, scalar.at)),
                Err((what, mend)) => {
                    fields::refuse(scalar.at, scalar.value, what, mend, reader.notes)
                }
            }
        });
        Some(DraftBreaker {
            at: breaker.at,
            is_service: false,
            key,
            keyed: breaker.place("key").is_some(),
            keys_max: breaker.whole("max_keys", reader.notes),
            mode: [Mode::Enforce, Mode::Monitor, Mode::Disabled][word("mode", reader.notes)],
            trip: read_trips(&breaker, reader.notes),
            judge_on: [JudgeOn::EveryOutcome, JudgeOn::Failures][word("judge_on", reader.notes)],
            compare: [Compare::AtLeast, Compare::Above][word("compare", reader.notes)],
            slow_compare: breaker
                .word("slow_compare", reader.notes)
                .map_or(Compare::Above, |word| {
                    [Compare::AtLeast, Compare::Above][word.value]
                }),
            window: [WindowKind::Sliding, WindowKind::Tumbling][word("window", reader.notes)],
            history: [History::Clear, History::Keep][word("history", reader.notes)],
            idle_after: breaker.duration("idle_after", reader.notes),
            on_overflow: breaker
                .word("on_overflow", reader.notes)
                .map(|word| word.map(|word| [OnOverflow::Share, OnOverflow::Pass][word])),
            failure: read_condition(&breaker, "failure", Failure::read, reader),
            ignore: read_condition(&breaker, "ignore", Ignore::read, reader),
            abandoned: breaker.duration("abandoned", reader.notes),
            failure_body: breaker.size("failure_body", reader.notes),
            settle: breaker.duration("settle", reader.notes),
            cooldown: read_cooldown(&breaker, "cooldown", reader.notes),
            half_open: read_half_open(&breaker, reader.notes),
            retry_after: breaker.word("retry_after", reader.notes).map(|word| {
                word.map(|word| [RetryAfter::Ignore, RetryAfter::Honour, RetryAfter::Trip][word])
            }),
            ramp: read_ramp(&breaker, reader.notes),
            share: read_share(&breaker, reader.notes),
        })
    }

    /// The breaker's key, if the file has a valid one.
    pub fn key(&self) -> Option<&At<Key>> {
        self.key.as_ref()
    }

    /// The breaker's sharing over a fleet, if the file has any.
    pub fn share(&self) -> Option<&DraftShare> {
        self.share.as_ref()
    }

    /// The calls that probe, if the file says.
    pub fn probe(&self) -> Option<&At<Probe>> {
        self.half_open.as_ref()?.probe.as_ref()
    }

    /// Compares the parts with one another, and with the times of the upstream's calls.
    pub fn check(&self, times: CallTimes<'_>, notes: &mut Notes) -> Breaker {
        let request = times.request;
        let faults = notes.errors();
        let retry_after = value_of(&self.retry_after).unwrap_or(RetryAfter::Ignore);
        let mut settings = Settings {
            trip: self.rules(notes),
            judge_on: self.judge_on,
            compare: self.compare,
            slow_compare: self.slow_compare,
            window: self.window,
            history: self.history,
            cooldown: self
                .cooldown
                .as_ref()
                .map_or_else(Cooldown::default, |cooldown| {
                    let base = Cooldown::default().base;
                    cooldown.check(retry_after, Cooldown::exponential, base, notes)
                }),
            retry_after,
            half_open: HalfOpen::default(),
            ramp: self.ramp.as_ref().and_then(DraftRamp::check),
            // A panic in the gateway is the gateway's own fault, not the upstream's.
            on_panic: OnPanic::Ignored,
            on_abandoned: value_of(&self.abandoned)
                .map_or(OnAbandoned::Ignore, OnAbandoned::FailureAfter),
            mode: self.mode,
        };
        settings.half_open = half_open::check(self.half_open.as_ref(), times, notes);
        let fails_late_probes = self
            .half_open
            .as_ref()
            .is_some_and(DraftHalfOpen::fails_late);
        if self.is_service && !fails_late_probes {
            // A program that never reports says nothing about what it called.
            settings.half_open.on_probe_timeout = OnProbeTimeout::Replace;
        }
        let before = notes.errors();
        let place = |section: &str, key: &str| match section {
            "cooldown" => self.cooldown.as_ref().map(|it| it.place(key)),
            "half_open" => self.half_open.as_ref().map(|it| it.place(key)),
            "ramp" => self.ramp.as_ref().map(|it| it.place(key)),
            _ => None,
        };
        let trips = self.trip.as_deref().unwrap_or_default();
        validate(&settings, trips, self.at, place, notes);
        for trip in self.trip.iter().flatten() {
            trip.check_reach(times, notes);
        }
        if before == notes.errors() {
            let keeps_history =
                self.history == History::Keep && self.judge_on == JudgeOn::EveryOutcome;
            for trip in self.trip.iter().flatten() {
                trip.check_sense(notes);
                if keeps_history {
                    trip.check_kept(notes);
                }
            }
            self.check_retry_after(&settings.cooldown, notes);
        }
        if self.is_service {
            self.check_service(notes);
        } else {
            self.check_body(notes);
            self.check_keys(notes);
            self.check_abandoned(times, notes);
        }
        if faults == notes.errors() && !self.is_service {
            let sees_hangs = settings
                .trip
                .iter()
                .any(|rule| matches!(rule, Rule::Stalled { .. }));
            // A breaker that is disabled judges calls for the ladder alone.
            let mut unheard = Notes::default();
            let findings = sample_calls::check(
                self.failure.as_ref(),
                self.ignore.as_ref(),
                request,
                sees_hangs,
                match settings.mode {
                    Mode::Disabled => &mut unheard,
                    _ => notes,
                },
            );
            self.check_rows(&settings, findings, notes);
        }
        let share = self.share.as_ref();
        Breaker {
            share: share.map_or(Share::None, |share| share.check(&settings.trip, notes)),
            settings,
            key: self
                .key
                .clone()
                .map_or_else(|| Key(vec![KeyPart::Upstream]), |key| key.value),
            keys_max: self.keys_max.as_ref().map_or(KEYS_MAX, |keys| {
                usize::try_from(keys.value).unwrap_or(usize::MAX)
            }),
            idle_after: self.idle_after.as_ref().map(|after| after.value),
            on_overflow: self
                .on_overflow
                .as_ref()
                .map_or_else(OnOverflow::default, |word| word.value),
            ignore: self.ignore.clone().map(|ignore| ignore.value),
            failure: self
                .failure
                .clone()
                .map_or(Failure::Default, |failure| failure.value),
            grpc_failure: GrpcCodes::FAILURES,
            failure_body_max: self.failure_body.as_ref().map(|size| {
                usize::try_from(size.value.min(FAILURE_BODY_MAX)).unwrap_or(usize::MAX)
            }),
            settle: self.settle.as_ref().map_or(SETTLE, |settle| settle.value),
            probe: self.probe().map_or(Probe::Request, |probe| probe.value),
        }
    }

    fn rules(&self, notes: &mut Notes) -> Vec<Rule> {
        let counted = || self.share.as_ref().is_some_and(DraftShare::is_counted);
        match &self.trip {
            // A rate cannot be counted over a fleet.
            None if counted() => Settings::standard().trip.drain(..1).collect(),
            None => Settings::standard().trip,
            Some(trips) => trips.iter().flat_map(|trip| trip.rules(notes)).collect(),
        }
    }

    /// Warns if `Retry-After` cannot lengthen the cooldown: a fixed cooldown is its own `max`.
    fn check_retry_after(&self, cooldown: &Cooldown, notes: &mut Notes) {
        if let Some(At { value, at }) = &self.retry_after
            && *value != RetryAfter::Ignore
            && cooldown.max <= cooldown.base
        {
            let base = show_duration(cooldown.base);
            let max = show_duration(Cooldown::exponential(cooldown.base).max);
            notes.warn(
                *at,
                format!("an upstream's `Retry-After` counts up to the cooldown's `max`, here {base}, so it can only shorten the cooldown"),
                format!("give it room: `cooldown: {{ base: {base}, max: {max}, factor: 1, jitter: 0% }}`"),
            );
        }
    }

    /// Reports an `abandoned` that no call could reach.
    fn check_abandoned(&self, times: CallTimes<'_>, notes: &mut Notes) {
        if let Some(after) = &self.abandoned
            && after.value >= times.request
        {
            notes.error(
                after.at,
                format!(
                    "`abandoned` is {}, and every call ends after {}, so no call could be given up so late",
                    show_duration(after.value),
                    times.limit(),
                ),
                times.mend(),
            );
        }
    }

    /// Warns that any success ends a row of failures, if no other rule counts failures and trips.
    fn check_rows(&self, settings: &Settings, findings: Findings, notes: &mut Notes) {
        let counts_otherwise = |rule: &Rule| match rule {
            // A single failure needs no row.
            Rule::ConsecutiveFailures { threshold, .. } => *threshold <= 1,
            Rule::Failures { .. } | Rule::FailureRate { .. } => true,
            // These measure durations; adaptive rules count, and never trip.
            _ => false,
        };
        let Some(trip) = self.trip.iter().flatten().find(|trip| trip.has_row()) else {
            return;
        };
        // Where failures are counted over a fleet, a row is the default.
        let counted = self.share.as_ref().is_some_and(DraftShare::is_counted);
        if findings.missing_is_success
            && settings.mode != Mode::Disabled
            && !counted
            && !settings.trip.iter().any(counts_otherwise)
        {
            notes.warn(
                trip.place("consecutive_failures"),
                "any success ends a row of failures: the 404s of a single client can keep this breaker closed while all else fails",
                "add a rate, as in `[{ consecutive_failures: 5 }, { failure_rate: 50%, over: 10s, min_calls: 20 }]`, or `ignore: 'status == 404'`",
            );
        }
    }

    /// Reports settings without a meaning for a breaker without an upstream.
    fn check_service(&self, notes: &mut Notes) {
        let idle = [
            ("max_keys", place_of(&self.keys_max), "it has no keys"),
            ("idle_after", place_of(&self.idle_after), "it has no keys"),
            ("on_overflow", place_of(&self.on_overflow), "it has no keys"),
            (
                "abandoned",
                place_of(&self.abandoned),
                "programs report how a call ended",
            ),
            (
                "settle",
                place_of(&self.settle),
                "programs report calls that have ended",
            ),
        ];
        for (key, at, why) in idle {
            if let Some(at) = at {
                let what = format!("`{key}` has no effect on a breaker without an upstream: {why}");
                notes.warn(at, what, "remove it");
            }
        }
        if let Some(At {
            value: Probe::Health,
            at,
        }) = self.probe()
        {
            notes.error(
                *at,
                "`probe: health` needs an upstream, whose health is checked",
                "remove it: the programs that ask do the probing",
            );
        }
        for unreported in ["body", "headers", "grpc_status", "client_subject"] {
            if let Some(ignore) = &self.ignore
                && ignore.value.uses(unreported)
            {
                notes.error(
                    ignore.at,
                    format!("the ignore expression uses `{unreported}`, which no report has"),
                    "use `error`, which is the report's `kind`, `status` or `duration`",
                );
            }
        }
    }

    fn check_body(&self, notes: &mut Notes) {
        let user = match (&self.failure, &self.ignore) {
            (Some(failure), _) if failure.value.uses("body") => Some(("failure", failure.at)),
            (_, Some(ignore)) if ignore.value.uses("body") => Some(("ignore", ignore.at)),
            _ => None,
        };
        let uses_body = user.is_some();
        match (user, &self.failure_body) {
            (Some((key, at)), None) => notes.error(
                at,
                format!("the {key} expression uses `body`, but `failure_body` is not set"),
                "add `failure_body: 64KiB` beside it",
            ),
            (_, Some(size)) if size.value > FAILURE_BODY_MAX => {
                notes.error(
                    size.at,
                    "`failure_body` is above 1MiB",
                    "write `64KiB`, or at most `1MiB`",
                );
            }
            (_, Some(size)) if !uses_body => notes.warn(
                size.at,
                "`failure_body` is set, but no expression uses `body`",
                "remove it, or use `body` in `failure`",
            ),
            _ => {}
        }
    }

    fn check_keys(&self, notes: &mut Notes) {
        let chosen = self
            .key
            .as_ref()
            .filter(|key| key.value.chosen_by_clients());
        let shared = match &self.key {
            Some(key) => key.value.is_upstream(),
            None => !self.keyed,
        };
        match (chosen, &self.keys_max) {
            (Some(key), None) => notes.warn(
                key.at,
                "clients choose this key, and only the default of 10,000 limits the number of breakers",
                "add `max_keys: 10000`, or the number of keys that you expect",
            ),
            (None, Some(keys_max)) if shared => notes.warn(
                keys_max.at,
                "`max_keys` has no effect: all calls of the upstream share one breaker",
                "remove it, or give a `key`",
            ),
            _ => {}
        }
        let others = [
            ("idle_after", place_of(&self.idle_after)),
            ("on_overflow", place_of(&self.on_overflow)),
        ];
        for (key, at) in others {
            if let Some(at) = at
                && shared
            {
                notes.warn(
                    at,
                    format!("`{key}` has no effect: all calls of the upstream share one breaker"),
                    "remove it, or give a `key`",
                );
            }
        }
    }
}

/// Reads an expression about a call, and reports each fault at its place in the expression.
pub(super) fn read_condition<T>(
    breaker: &Fields<'_>,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, Vec<Fault>>,
    reader: &mut Reader<'_>,
) -> Option<At<T>> {
    let (_, node) = breaker.get(key)?;
    let expected = "an expression such as `status >= 500`";
    let scalar = fields::scalar(node, key, expected, reader.notes)?;
    match read(&scalar.text) {
        Ok(condition) => Some(At::new(condition, node.at)),
        Err(faults) => {
            for fault in faults {
                let place = match fault.at {
                    Some(offset) if scalar.written.is_none() => {
                        place_within(reader.lines, node.at, scalar, offset)
                    }
                    _ => node.at,
                };
                let what = format!("in the {key} expression: {}", fault.what);
                fields::refuse::<T>(place, scalar, what, fault.mend, reader.notes);
            }
            None
        }
    }
}
