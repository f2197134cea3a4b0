//! The flaws of circuits that flows build by hand.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::symbol::{Cast, Symbol, Unit, is_now};
use fusebox_dataweave::{Number, Value};
use fusebox_plan::dialect::show_duration;

use super::call_paths::CallPaths;
use super::failures::all;
use super::paths::{Act, Path};
use super::time::unit;
use super::trace::{self, StoreState};
use super::{Circuit, Cooldown};
use crate::app::Site;

/// A flaw of a circuit.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// The kind of flaw.
    pub kind: FlawKind,
    /// The position to report.
    pub site: Site,
    /// The problem, as a sentence.
    pub what: String,
    /// The remedy, as a sentence.
    pub mend: String,
}

/// A kind of flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlawKind {
    /// Concurrent failures are counted as one.
    LostIncrements,
    /// All calls are made at once after the cooldown.
    NoHalfOpen,
    /// All calls are made at once while the circuit is half-open.
    HalfOpenTakesAll,
    /// A late success, of a call made before the circuit opened, closes it.
    LateSuccess,
    /// Responses with server errors do not count as failures.
    ServerErrorsIgnored,
    /// The cooldown ends at a sweep instead of at its time.
    CooldownAtSweep,
    /// Each failure restarts the time to live of the count.
    CountRenewed,
    /// The cooldown never ends.
    NeverCloses,
    /// The entry expires before the flow's own cooldown ends.
    ExpiresFirst,
    /// Seconds are compared with milliseconds.
    UnitsMixed,
    /// Local time is written as if it were UTC.
    LocalTimeAsUtc,
    /// Reading the state replaces the client's message.
    MessageLost,
    /// A number stored with the state has no effect.
    Unused,
    /// The circuit's own refusal is recorded as a failure, and the cooldown begins anew.
    RefusalCounts,
}

/// The material from which flaws are recognised.
pub(super) struct Evidence<'e, 'w, 'a> {
    pub call_paths: &'e CallPaths<'w, 'a>,
    /// The path prefixes that lead to the call once time has passed.
    pub after_wait: &'e [&'w [Act<'a>]],
    /// All path prefixes that lead to the call.
    pub prefixes: &'e [&'w [Act<'a>]],
    /// The entry with the state, and the part of it that is tested.
    pub state: usize,
    pub slot: Option<&'e Symbol>,
    /// The entries after the circuit has opened.
    pub held: &'e StoreState,
    /// The acts after the call on the path that opens the circuit.
    pub trip: &'w [Act<'a>],
    /// The position where a success closes the circuit without reading the state again.
    pub closed_at: Option<&'a Site>,
    /// The entry with the count.
    pub count: Option<usize>,
    /// The paths that the open circuit leads to, without the call.
    pub refused: &'e [&'w Path<'a>],
}

/// The remedy where a conversion does not write the circuit.
const BESIDE: &str = "put a native breaker before the call, in a file beside the application; `fusebox convert` does not write this circuit";
const CONVERT: &str = "`fusebox convert` writes a native breaker that does not have this flaw";

/// Finds the flaws of a circuit.
pub(super) fn of(circuit: &Circuit, evidence: &Evidence<'_, '_, '_>) -> Vec<Flaw> {
    let mut flaws = Flaws {
        circuit,
        evidence,
        list: Vec::new(),
    };
    flaws.lost_increments();
    flaws.half_open();
    flaws.late_success();
    flaws.server_errors();
    flaws.cooldown();
    flaws.times();
    flaws.message_lost();
    flaws.unused();
    flaws.refusal_counts();
    flaws.list
}

struct Flaws<'e, 'w, 'a> {
    circuit: &'e Circuit,
    evidence: &'e Evidence<'e, 'w, 'a>,
    list: Vec<Flaw>,
}

impl Flaws<'_, '_, '_> {
    fn add(&mut self, kind: FlawKind, site: &Site, what: impl Display, mend: &str) {
        let what = format!("the circuit {} {what}", self.circuit.name);
        self.list.push(Flaw {
            kind,
            site: site.clone(),
            what,
            mend: mend.to_owned(),
        });
    }

    fn lost_increments(&mut self) {
        let Some(count) = self.evidence.count else {
            return;
        };
        let paths = self.evidence.call_paths.paths;
        let found = paths.iter().find_map(|path| {
            let mut read = None;
            for act in &path.acts {
                if let Some(written) = counted_at(act, count) {
                    return Some((read?, written));
                }
                match act {
                    Act::Read { entry, site, .. } if *entry == count => read = Some(*site),
                    _ => {}
                }
            }
            None
        });
        if let Some((read, written)) = found {
            let what = format!(
                "counts in two steps, a read in line {} and a write here: some of several concurrent failures are lost",
                read.line
            );
            self.add(FlawKind::LostIncrements, written, what, CONVERT);
        }
    }

    fn half_open(&mut self) {
        let (after_wait, state) = (self.evidence.after_wait, self.evidence.state);
        let site = self.circuit.site.clone();
        if after_wait.is_empty() {
            if let Cooldown::Expiry { .. } = self.circuit.cooldown {
                let what = "has no half-open state: when its entry expires, all requests go to the upstream at once, and it opens again only after as many failures as before";
                self.add(FlawKind::NoHalfOpen, &site, what, CONVERT);
            }
            return;
        }
        let written = after_wait.iter().find_map(|prefix| {
            let value = trace::store_after(prefix).remove(&state)??;
            let site = prefix.iter().rev().find_map(|act| match act {
                Act::Wrote { entry, site, .. } if *entry == state => Some(*site),
                _ => None,
            })?;
            Some((value, site))
        });
        match written {
            Some((value, site)) => {
                let held: StoreState = [(state, Some(value))].into();
                // The next request passes as well.
                if trace::any_passes(self.evidence.prefixes, &held, true) {
                    let what =
                        "lets all requests through while it is half-open, not a single probe";
                    self.add(FlawKind::HalfOpenTakesAll, site, what, CONVERT);
                }
            }
            None => {
                let what = "lets all requests through at once when its cooldown is over, not a single probe";
                self.add(FlawKind::HalfOpenTakesAll, &site, what, CONVERT);
            }
        }
    }

    fn late_success(&mut self) {
        if let Some(site) = self.evidence.closed_at {
            let what =
                "is closed here by any success, also of a call that was made before it opened";
            self.add(FlawKind::LateSuccess, site, what, CONVERT);
        }
    }

    fn server_errors(&mut self) {
        let missing = all().into_iter();
        let missing = missing.filter(|failure| !self.circuit.failures.contains(failure));
        let missing = missing.filter_map(|it| it.status.filter(|status| *status >= 500));
        let missing: Vec<String> = missing.map(|status| status.to_string()).collect();
        if missing.is_empty() {
            return;
        }
        let handled = self.evidence.trip.iter().find_map(|act| match act {
            Act::Handled { site } => Some((*site).clone()),
            _ => None,
        });
        let site = handled.unwrap_or_else(|| self.circuit.trip_site.clone());
        let what = format!(
            "does not count answers of status {}: an upstream that only gives these never opens it",
            missing.join(", ")
        );
        let mend = "name their error types here, such as HTTP:INTERNAL_SERVER_ERROR and HTTP:SERVICE_UNAVAILABLE";
        self.add(FlawKind::ServerErrorsIgnored, &site, what, mend);
    }

    fn cooldown(&mut self) {
        let store = self.circuit.state.store.clone();
        let expiry = store
            .as_ref()
            .and_then(|store| Some((store, store.expiry()?)));
        match (self.circuit.cooldown, expiry) {
            (Cooldown::Expiry { ttl, sweep }, Some((store, _))) => {
                let what = format!(
                    "stays open for {}: an entry expires at the first sweep after its time to live, not exactly then",
                    range(ttl, sweep)
                );
                let mend = "make `expirationInterval` smaller; or see `fusebox convert`: a native breaker's cooldown is exact";
                self.add(FlawKind::CooldownAtSweep, &store.site, what, mend);
            }
            (Cooldown::Never, _) => {
                let site = self.circuit.trip_site.clone();
                let what =
                    "stays open for ever: its entry never expires, and the flow looks at no clock";
                let mend = "give the object store an `entryTtl`";
                self.add(FlawKind::NeverCloses, &site, what, mend);
            }
            (Cooldown::Timeout(Some(after)), Some((store, (ttl, sweep)))) if ttl < after => {
                let (after, expires) = (show_duration(after), range(ttl, sweep));
                let what = format!(
                    "would be half-open after {after}, but its entry expires after {expires}"
                );
                let mend = "make `entryTtl` longer than the flow's own timeout";
                self.add(FlawKind::ExpiresFirst, &store.site, what, mend);
            }
            _ => {}
        }
        let Some(count) = self.evidence.count else {
            return;
        };
        let store = self.circuit.count.as_ref();
        let store = store.and_then(|count| count.entry.store.as_ref()?.expiry());
        let failed = self.evidence.call_paths.after(false);
        let mut acts = failed.flat_map(|(_, after)| after);
        let written = acts.find_map(|act| counted_at(act, count));
        if let (Some((ttl, sweep)), Some(site)) = (store, written) {
            let what = format!(
                "forgets its count {} after the last failure, since each failure restarts the entry's time to live: failures with shorter gaps all add up",
                range(ttl, sweep)
            );
            let mend = "`fusebox convert` says what a native breaker counts instead";
            self.add(FlawKind::CountRenewed, site, what, mend);
        }
    }

    fn times(&mut self) {
        let (after_wait, trip) = (self.evidence.after_wait, self.evidence.trip);
        let mut mixed = None;
        for act in after_wait.iter().copied().flatten() {
            let Act::Assumed { condition, site } = act else {
                continue;
            };
            if !condition.has(&is_now) {
                continue;
            }
            let tested = units(condition);
            let stored: BTreeSet<_> = trace::slots(condition)
                .iter()
                .filter_map(|slot| {
                    let value = self.evidence.held.get(&slot.of_entry()?)?.as_ref()?;
                    let value = trace::slot_value(value, slot);
                    value.has(&is_now).then(|| units(&value))
                })
                .flatten()
                .collect();
            let reads_number =
                tested.len() > 1 || (!stored.is_empty() && !tested.is_empty() && stored != tested);
            // A limit of thousands is unlikely to be seconds, which would be hours.
            let limit = match condition {
                Symbol::Compare(left, _, right) if unit(left) == Unit::Seconds => {
                    right.number().and_then(|limit| limit.to_i64())
                }
                _ => None,
            };
            let thousands = limit.filter(|limit| *limit >= 10_000 && limit % 1000 == 0);
            if reads_number {
                mixed = Some((*site, "compares seconds with milliseconds".to_owned()));
            } else if let Some(limit) = thousands {
                let meant = show_duration(Duration::from_millis(limit.unsigned_abs()));
                let literal = show_duration(Duration::from_secs(limit.unsigned_abs()));
                let what = format!(
                    "compares {limit} with seconds, which is {literal}; {meant} may be meant"
                );
                mixed = Some((*site, what));
            }
        }
        if let Some((site, what)) = mixed {
            let mend = "use one unit throughout: `now() as Number {unit: \"milliseconds\"}`";
            self.add(FlawKind::UnitsMixed, site, what, mend);
        }
        let local = trip.iter().find_map(|act| match act {
            Act::Wrote { value, site, .. } if value.has(&is_local_as_utc) => Some(*site),
            _ => None,
        });
        if let (Some(site), false) = (local, after_wait.is_empty()) {
            let what = "writes local time with the letter Z, as if it were UTC: away from UTC its cooldown is hours too long, or none";
            let mend = "write `now() >> \"UTC\"`, or store `now() as Number`";
            self.add(FlawKind::LocalTimeAsUtc, site, what, mend);
        }
    }

    fn message_lost(&mut self) {
        let of = self.evidence.call_paths.call;
        let found = self.evidence.call_paths.paths.iter().find_map(|path| {
            let mut read = None;
            for act in &path.acts {
                match act {
                    Act::Read {
                        site,
                        over_message: true,
                        ..
                    } => read = Some(*site),
                    Act::Called { call, sent, .. } if *call == of => {
                        let sent = sent.body.as_ref();
                        return read.filter(|_| sent.is_some_and(|body| body.has(&is_entry)));
                    }
                    _ => {}
                }
            }
            None
        });
        if let Some(site) = found {
            let what = "reads its state into the payload, so the call sends the state instead of the client's message";
            let mend = "give the `os:retrieve` a `target`";
            self.add(FlawKind::MessageLost, site, what, mend);
        }
    }

    fn unused(&mut self) {
        let walk = self.evidence.call_paths.walk;
        let state = self.evidence.state;
        let tested = self.evidence.slot;
        let site = self.circuit.trip_site.clone();
        for ((entry, key), value) in &walk.constants {
            if *entry != state || walk.tested.contains(&(*entry, key.clone())) {
                continue;
            }
            if tested == Some(&Symbol::Entry(*entry).field(key)) {
                continue;
            }
            let Some(number) = value.number().filter(|number| !number.is_zero()) else {
                continue;
            };
            if self.is_compared(&number) {
                continue;
            }
            let what =
                format!("stores `{key}`, always {number}, with its state and never reads it");
            let mend = "if failures should be forgotten after a time, the flow does not do that";
            self.add(FlawKind::Unused, &site, what, mend);
        }
    }

    /// True if a condition of the flow contains this number, also as seconds or milliseconds of a period.
    fn is_compared(&self, number: &Number) -> bool {
        let Some(number) = number.to_i64() else {
            return false;
        };
        let number = i128::from(number);
        let is_it = |part: &Symbol| match part.known() {
            Some(Value::Number(other)) => other.to_i64().map(i128::from) == Some(number),
            Some(Value::Period(period)) if period.is_exact() => {
                i128::from(period.time.as_secs()) == number || period.time.as_millis() == number
            }
            _ => false,
        };
        let paths = self.evidence.call_paths.paths.iter();
        paths.flat_map(|path| &path.acts).any(|act| match act {
            Act::Assumed { condition, .. } => condition.has(&is_it),
            _ => false,
        })
    }

    /// Finds refusals that a handler records in the entries of the state or of the count.
    fn refusal_counts(&mut self) {
        let (state, count) = (self.evidence.state, self.evidence.count);
        let mut found: Vec<(&Site, &Site)> = Vec::new();
        for path in self.evidence.refused {
            let (mut raised, mut handler) = (None, None);
            for act in &path.acts {
                match act {
                    Act::Raised { site } => (raised, handler) = (Some(*site), None),
                    Act::Handled { site } if raised.is_some() => handler = Some(*site),
                    Act::Wrote { entry, .. } if *entry == state || Some(*entry) == count => {
                        if let (Some(raised), Some(handler)) = (raised, handler)
                            && !found.iter().any(|(known, _)| *known == raised)
                        {
                            found.push((raised, handler));
                        }
                    }
                    _ => {}
                }
            }
        }
        for (raised, handler) in found {
            let what = format!(
                "counts its own refusal, which is raised here, as a failure: the handler in line {} records it, so the cooldown begins anew and requests keep it open",
                handler.line
            );
            let mend = format!(
                "raise it outside the `try`, or let the handler in line {} take the errors of the call alone",
                handler.line
            );
            self.add(FlawKind::RefusalCounts, raised, what, &mend);
        }
    }
}

/// The range from a time to live to the last sweep that may end it, in one unit.
pub(crate) fn range(ttl: Duration, sweep: Duration) -> String {
    let until = ttl + sweep;
    let whole =
        |time: Duration, unit: u64| time.subsec_nanos() == 0 && time.as_secs().is_multiple_of(unit);
    if whole(until, 60) || !whole(ttl, 1) || !whole(until, 1) {
        return format!("{} to {}", show_duration(ttl), show_duration(until));
    }
    format!("{}s to {}s", ttl.as_secs(), until.as_secs())
}

/// The units of the numeric moments in a symbol.
fn units(symbol: &Symbol) -> BTreeSet<Arc<str>> {
    let mut found = BTreeSet::new();
    symbol.walk(&mut |part| {
        if let Symbol::As(of, Cast::Number(unit) | Cast::Moment(unit)) = part
            && of.has(&is_now)
        {
            let name = match unit {
                Unit::Seconds => "seconds",
                Unit::Milliseconds => "milliseconds",
            };
            found.insert(name.into());
        }
    });
    found
}

/// The position of an act that counts in an entry.
fn counted_at<'a>(act: &Act<'a>, count: usize) -> Option<&'a Site> {
    match act {
        Act::Wrote { entry, value, site } if *entry == count => {
            (!trace::increments(*entry, value).is_empty()).then_some(*site)
        }
        _ => None,
    }
}

fn is_entry(symbol: &Symbol) -> bool {
    matches!(symbol, Symbol::Entry(_))
}

/// True for a moment in the server's time zone that is formatted with the letter of UTC.
fn is_local_as_utc(symbol: &Symbol) -> bool {
    match symbol {
        Symbol::As(of, Cast::Text(Some(format))) => {
            **of == Symbol::Now && format.trim_end().ends_with("'Z'")
        }
        _ => false,
    }
}

impl Flaw {
    /// Makes the remedy say what a conversion does for this circuit: writes its breaker or not, with `--lossy` or without.
    pub(super) fn promise(&mut self, is_written: bool, is_lossy: bool) {
        const COMMAND: &str = "`fusebox convert`";
        self.mend = match (is_written, is_lossy) {
            (true, false) => return,
            (true, true) => self.mend.replace(COMMAND, "`fusebox convert --lossy`"),
            (false, _) if self.mend.contains("convert") => BESIDE.to_owned(),
            (false, _) => return,
        };
    }

    /// True if a native breaker does not have this flaw.
    pub fn is_mended(&self) -> bool {
        match self.kind {
            FlawKind::LostIncrements
            | FlawKind::NoHalfOpen
            | FlawKind::HalfOpenTakesAll
            | FlawKind::LateSuccess
            | FlawKind::CooldownAtSweep
            | FlawKind::NeverCloses
            | FlawKind::ExpiresFirst
            | FlawKind::UnitsMixed
            | FlawKind::LocalTimeAsUtc
            | FlawKind::MessageLost
            | FlawKind::RefusalCounts => true,
            FlawKind::ServerErrorsIgnored | FlawKind::CountRenewed | FlawKind::Unused => false,
        }
    }
}
