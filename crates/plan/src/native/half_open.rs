//! Reads `half_open:`: the rules by which a breaker probes whether its upstream has recovered.

use std::num::NonZeroU32;
use std::time::Duration;

use fusebox_breaker::{
    CloseRule, HalfOpen, OnProbeTimeout, Over, Probes, Ratio,
    settings::{OnPeriodTimeout, Places, SlowProbes},
};

use super::breaker::CallTimes;
use super::trip::pair;
use crate::diagnostic::{At, Notes, Place, value_of};
use crate::fields::Fields;
use crate::plan::Probe;
use crate::tree::Kind;
use crate::words::show_duration;

#[derive(Debug)]
pub(super) struct DraftHalfOpen {
    at: Place,
    probes: Option<At<Probes>>,
    successes: Option<At<u32>>,
    failures: Option<At<u32>>,
    in_a_row: Option<At<bool>>,
    failure_rate: Option<At<Ratio>>,
    over: Option<At<Over>>,
    slow_rate: Option<At<Ratio>>,
    slower_than: Option<At<Duration>>,
    probe_timeout: Option<At<Duration>>,
    on_probe_timeout: OnProbeTimeout,
    places: Places,
    period_timeout: Option<At<Duration>>,
    on_period_timeout: Option<At<OnPeriodTimeout>>,
    /// The calls that probe.
    pub probe: Option<At<Probe>>,
    /// The places of all keys, even of those with invalid values.
    keys: Vec<(&'static str, Place)>,
}

pub(super) fn read_half_open(breaker: &Fields<'_>, notes: &mut Notes) -> Option<DraftHalfOpen> {
    let half_open = breaker.section("half_open", notes)?;
    let unlimited = half_open
        .get("probes")
        .and_then(|(_, node)| match &node.kind {
            Kind::Scalar(scalar) if scalar.text == "unlimited" => Some(node.at),
            _ => None,
        });
    let probes = match unlimited {
        Some(at) => Some(At::new(Probes::Unlimited, at)),
        None => half_open.count("probes", notes).map(|probes| {
            probes.map(|probes| Probes::Limited(NonZeroU32::new(probes).unwrap_or(NonZeroU32::MIN)))
        }),
    };
    Some(DraftHalfOpen {
        at: half_open.at,
        probes,
        successes: half_open.count("successes", notes),
        failures: half_open.count("failures", notes),
        in_a_row: half_open.flag("in_a_row", notes),
        failure_rate: half_open.ratio("failure_rate", notes),
        over: half_open.over("over", notes),
        slow_rate: half_open.ratio("slow_rate", notes),
        slower_than: half_open.duration("slower_than", notes),
        probe_timeout: half_open.duration("probe_timeout", notes),
        on_probe_timeout: match half_open.word("on_probe_timeout", notes) {
            Some(At { value: 0, .. }) => OnProbeTimeout::Replace,
            _ => OnProbeTimeout::Fail,
        },
        places: match half_open.word("places", notes) {
            Some(At { value: 1, .. }) => Places::Spent,
            _ => Places::Freed,
        },
        period_timeout: half_open.duration("period_timeout", notes),
        on_period_timeout: half_open
            .word("on_period_timeout", notes)
            .map(|word| word.map(|word| [OnPeriodTimeout::Open, OnPeriodTimeout::Close][word])),
        probe: half_open
            .word("probe", notes)
            .map(|word| word.map(|word| [Probe::Request, Probe::Health][word])),
        keys: half_open.places(),
    })
}

impl DraftHalfOpen {
    pub(super) fn place(&self, key: &str) -> Place {
        let exact = self.keys.iter().find(|(name, _)| *name == key);
        exact.map_or(self.at, |(_, at)| *at)
    }

    /// True if the file says that a missed deadline is a failure.
    pub(super) fn fails_late(&self) -> bool {
        self.given("on_probe_timeout") && self.on_probe_timeout == OnProbeTimeout::Fail
    }

    fn given(&self, key: &str) -> bool {
        self.keys.iter().any(|(name, _)| *name == key)
    }

    fn close(&self, notes: &mut Notes) -> Option<CloseRule> {
        if self.given("failure_rate") {
            if let Some(successes) = &self.successes {
                let what = "both `successes` and `failure_rate` say when to close";
                notes.error(successes.at, what, "keep one of them");
            }
            if let Some(failures) = &self.failures {
                let what = "both `failures` and `failure_rate` say when to reopen";
                notes.error(failures.at, what, "keep one of them");
            }
            if self.successes.is_some() || self.failures.is_some() {
                return None;
            }
        }
        match (&self.failure_rate, &self.over) {
            (
                Some(rate),
                Some(At {
                    value: Over::Calls(over),
                    ..
                }),
            ) => Some(CloseRule::FailureRate {
                rate: rate.value,
                over: *over,
            }),
            (Some(_), Some(over)) => notes.refuse(
                over.at,
                "probes are counted, so `over` must be a number of calls",
                "write `over: 10 calls`",
            ),
            (Some(rate), None) if !self.given("over") => {
                let what = "`failure_rate` has no `over`";
                notes.refuse(rate.at, what, "add `over: 10 calls`")
            }
            (None, Some(over)) if !self.given("failure_rate") => notes.refuse(
                over.at,
                "`over` belongs to `failure_rate`, which is missing",
                "add `failure_rate: 50%`, or use `successes`",
            ),
            _ => value_of(&self.successes).map(CloseRule::Successes),
        }
    }

    fn slow(&self, notes: &mut Notes) -> Option<SlowProbes> {
        let slow = pair(
            &self.slow_rate,
            &self.slower_than,
            ("slow_rate", "80%"),
            ("slower_than", "2s"),
            notes,
        );
        slow.map(|(rate, slower_than)| SlowProbes { rate, slower_than })
    }

    fn on_period_timeout(&self, notes: &mut Notes) -> OnPeriodTimeout {
        let Some(word) = &self.on_period_timeout else {
            return OnPeriodTimeout::default();
        };
        if !self.given("period_timeout") {
            notes.error(
                word.at,
                "`on_period_timeout` belongs to `period_timeout`, which is missing",
                "add `period_timeout: 60s`, or remove it",
            );
        }
        word.value
    }

    /// Reports settings that could never take effect.
    fn check_sense(&self, half_open: &HalfOpen, notes: &mut Notes) {
        if let (Some(slow), Some(At { at, .. })) = (&half_open.slow, &self.slower_than)
            && slow.slower_than >= half_open.probe_timeout
        {
            notes.error(
                *at,
                format!(
                    "`slower_than` is {}, and every probe ends after {}, so none could be slow",
                    show_duration(slow.slower_than),
                    show_duration(half_open.probe_timeout),
                ),
                "lower it, or raise `probe_timeout`",
            );
        }
        if let (Some(At { value: true, at }), CloseRule::Successes(successes)) =
            (&self.in_a_row, half_open.close)
            && (successes == 1 || half_open.failures == 1)
        {
            notes.warn(
                *at,
                "`in_a_row` has no effect: one answer decides before there could be a row",
                "give more than one of `successes` and `failures` each, or remove it",
            );
        }
    }
}

/// Half-open as the gateway has it, before an upstream whose calls take so long.
pub(super) fn check(
    draft: Option<&DraftHalfOpen>,
    times: CallTimes<'_>,
    notes: &mut Notes,
) -> HalfOpen {
    let defaults = HalfOpen {
        probe_timeout: times.probe,
        on_probe_timeout: OnProbeTimeout::Fail,
        ..HalfOpen::default()
    };
    let Some(draft) = draft else {
        return defaults;
    };
    if let Some(timeout) = &draft.probe_timeout
        && timeout.value > times.request
    {
        notes.error(
            timeout.at,
            format!(
                "`probe_timeout` is {}, and the call ends after {}",
                show_duration(timeout.value),
                times.limit(),
            ),
            times.mend(),
        );
    }
    if let Some(At {
        value: Probes::Unlimited,
        at,
    }) = draft.probes
    {
        notes.warn(
            at,
            "with unlimited probes every waiting call reaches the upstream the moment the cooldown ends",
            "give a number, such as `probes: 3`",
        );
    }
    let close = draft.close(notes).unwrap_or(defaults.close);
    let half_open = HalfOpen {
        probes: value_of(&draft.probes).unwrap_or(defaults.probes),
        close,
        probe_timeout: value_of(&draft.probe_timeout).unwrap_or(times.probe),
        on_probe_timeout: draft.on_probe_timeout,
        failures: match draft.failures {
            // Together with a rate it has been reported already.
            Some(At { value, .. }) if !draft.given("failure_rate") => value,
            _ => defaults.failures,
        },
        in_a_row: value_of(&draft.in_a_row).unwrap_or(false),
        places: draft.places,
        slow: draft.slow(notes).filter(|_| {
            // An unreadable rate has been reported already, and is not missing.
            matches!(close, CloseRule::FailureRate { .. }) || !draft.given("failure_rate")
        }),
        period_timeout: value_of(&draft.period_timeout),
        on_period_timeout: draft.on_period_timeout(notes),
    };
    draft.check_sense(&half_open, notes);
    half_open
}
