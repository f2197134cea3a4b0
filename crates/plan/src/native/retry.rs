//! Reads `retry:` and `hedge:`, the further attempts of a call, and compares them with the call's times.

use std::time::Duration;

use fusebox_call::grpc::{NAMES, code_named};
use fusebox_call::{Backoff, Budget, GrpcCodes, Hedge, Jitter, Retry, RetryOn};
use http::StatusCode;

use super::draft::Reader;
use super::grpc;
use crate::diagnostic::{At, Notes, Place, nearest, quote};
use crate::fields::{self, Fields};
use crate::tree::Node;
use crate::words::show_duration;

/// The most bytes of a request's body that can be kept.
const BUFFER_MAX: u64 = 16 << 20;
/// The words of `on`, beside statuses.
const ON: [&str; 3] = ["connect_error", "reset", "timeout"];
/// The beginning of a status of gRPC by its number, as in `grpc:14`; before a name it may stand, too.
const GRPC: &str = "grpc:";

/// The times that bound a call's attempts, where they are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// `timeout.request`, which ends one attempt.
    pub request: Option<Duration>,
    /// `timeout.total`, which ends the call.
    pub total: Option<Duration>,
}

impl Bounds {
    /// The name and the value of the bound on the whole call.
    fn of_call(self) -> Option<(&'static str, Duration)> {
        let total = self.total.map(|total| ("timeout.total", total));
        total.or(self.request.map(|request| ("timeout.request", request)))
    }
}

#[derive(Debug)]
pub(crate) struct DraftRetry {
    retry: Retry,
    /// The place of `timeout` in `on`.
    on_timeout: Option<Place>,
    per_try: Option<At<Duration>>,
    attempts: Option<At<u32>>,
    /// The budget; a route may have none.
    pub budget: Option<At<Budget>>,
    /// The place of `budget`, also of one that could not be read.
    pub budget_at: Option<Place>,
}

pub(super) fn read_retry(of: &Fields<'_>, reader: &mut Reader<'_>) -> Option<DraftRetry> {
    let retry = of.section("retry", reader.notes)?;
    let defaults = Retry::default();
    let per_try = retry.duration("per_try", reader.notes);
    let (on, on_timeout) = match read_on(&retry, reader.notes) {
        Some((on, timeout)) => (on, timeout),
        None => {
            let timeout = per_try.is_some();
            (
                RetryOn {
                    timeout,
                    ..RetryOn::default()
                },
                None,
            )
        }
    };
    let attempts = retry.count("attempts", reader.notes);
    let none = (
        "without methods only what was not sent is repeated",
        "name the methods, as in `[GET, PUT]`, or write `on: [connect_error]`",
    );
    let methods = reader.method_list(&retry, "methods", none);
    let buffer = retry.size("buffer", reader.notes);
    if let Some(buffer) = &buffer
        && buffer.value > BUFFER_MAX
    {
        reader.notes.error(
            buffer.at,
            "`buffer` is above 16MiB, and each request in flight may take as much memory",
            "write `64KiB`, or at most `16MiB`",
        );
    }
    Some(DraftRetry {
        retry: Retry {
            attempts: attempts.as_ref().map_or(defaults.attempts, |it| it.value),
            on,
            per_try: per_try.as_ref().map(|it| it.value),
            methods: methods.unwrap_or(defaults.methods),
            backoff: read_backoff(&retry, reader.notes),
            buffer_max: buffer.map_or(defaults.buffer_max, |it| {
                usize::try_from(it.value).unwrap_or(usize::MAX)
            }),
        },
        on_timeout,
        per_try,
        attempts,
        budget: read_budget(&retry, reader.notes),
        budget_at: retry.place("budget"),
    })
}

/// The ends after which an attempt is repeated, and the place of `timeout` among them.
fn read_on(retry: &Fields<'_>, notes: &mut Notes) -> Option<(RetryOn, Option<Place>)> {
    let (_, node) = retry.get("on")?;
    let items = fields::items(node, "on", notes)?;
    if items.is_empty() {
        notes.error(
            node.at,
            "`on` is empty, so nothing is repeated",
            "name ends such as `connect_error` or `\"503\"`, or remove the key",
        );
    }
    let mut on = RetryOn {
        connect_error: false,
        reset: false,
        timeout: false,
        statuses: Vec::new(),
        grpc: GrpcCodes::default(),
    };
    let mut timeout = None;
    for item in items {
        match read_end(item, notes) {
            Some(End::Status(status)) if !on.statuses.contains(&status) => on.statuses.push(status),
            Some(End::Status(_)) | None => {}
            Some(End::Grpc(code)) => on.grpc = on.grpc.with(code),
            Some(End::Word(0)) => on.connect_error = true,
            Some(End::Word(1)) => on.reset = true,
            Some(End::Word(_)) => {
                on.timeout = true;
                timeout = Some(item.at);
            }
        }
    }
    Some((on, timeout))
}

/// An end of an attempt: an index in [`ON`], a status, or one of gRPC.
enum End {
    Word(usize),
    Status(StatusCode),
    Grpc(u8),
}

fn read_end(item: &Node, notes: &mut Notes) -> Option<End> {
    let expected = "`connect_error`, `reset`, `timeout`, a status from 400 to 599, or one of gRPC such as `UNAVAILABLE`";
    let scalar = fields::scalar(item, "on", expected, notes)?;
    if let Some(word) = ON.iter().position(|word| *word == scalar.text) {
        return Some(End::Word(word));
    }
    let status = scalar.text.parse().ok();
    if let Some(status) = status.filter(|status| (400..600).contains(status)) {
        return StatusCode::from_u16(status).ok().map(End::Status);
    }
    let (is_named, name) = match scalar.text.strip_prefix(GRPC) {
        Some(name) => (true, name),
        None => (false, scalar.text.as_str()),
    };
    let number = name.parse::<u8>().ok();
    let code = number.filter(|code| is_named && usize::from(*code) < NAMES.len());
    // A call that ended well is not repeated.
    if let Some(code) = code.or_else(|| code_named(name)).filter(|code| *code > 0) {
        return Some(End::Grpc(code));
    }
    if is_named {
        return fields::wrong(item, "on", expected, grpc::mend(name), notes);
    }
    let near = nearest(&scalar.text, ON);
    let near = near.or_else(|| nearest(&scalar.text.to_ascii_uppercase(), NAMES));
    let mend = match near {
        Some(near) => format!("did you mean {}?", quote(near)),
        None => "name ends such as `connect_error` or `\"503\"`".to_owned(),
    };
    fields::wrong(item, "on", expected, mend, notes)
}

fn read_backoff(retry: &Fields<'_>, notes: &mut Notes) -> Backoff {
    let defaults = Backoff::default();
    let Some(backoff) = retry.section("backoff", notes) else {
        return defaults;
    };
    let (base, max) = (
        backoff.duration("base", notes),
        backoff.duration("max", notes),
    );
    let read = Backoff {
        base: base.as_ref().map_or(defaults.base, |it| it.value),
        max: max.as_ref().map_or(defaults.max, |it| it.value),
        jitter: match backoff.word("jitter", notes) {
            Some(At { value: 1, .. }) => Jitter::None,
            _ => Jitter::Full,
        },
    };
    if read.base > read.max {
        notes.error(
            max.or(base).map_or(backoff.at, |it| it.at),
            format!(
                "`base` is {}, above `max`, {}",
                show_duration(read.base),
                show_duration(read.max)
            ),
            "lower `base`, or raise `max`",
        );
    }
    read
}

fn read_budget(retry: &Fields<'_>, notes: &mut Notes) -> Option<At<Budget>> {
    let (_, node) = retry.get("budget")?;
    let defaults = Budget::default();
    let (ratio, min) = match retry.map_in("budget", notes) {
        None => (Some(retry.ratio("budget", notes)?), None),
        Some(map) => {
            let budget = map?;
            (budget.ratio("ratio", notes), budget.count("min", notes))
        }
    };
    let budget = Budget {
        ratio: ratio.map_or(defaults.ratio, |it| it.value.as_f64()),
        min: min.map_or(defaults.min, |it| it.value),
    };
    Some(At::new(budget, node.at))
}

impl DraftRetry {
    /// The retry, compared with the times of its calls.
    pub fn check(&self, bounds: Bounds, notes: &mut Notes) -> Retry {
        if let (Some(per_try), Some((name, call))) = (&self.per_try, bounds.of_call())
            && per_try.value >= call
        {
            notes.error(
                per_try.at,
                format!(
                    "`per_try` is {}, and the whole call ends after `{name}`, {}, so a try that takes so long is the last",
                    show_duration(per_try.value),
                    show_duration(call),
                ),
                "lower it, or raise `timeout.total`",
            );
        }
        let ends_at_once = match (bounds.request, bounds.total) {
            (Some(request), Some(total)) => total <= request,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if let Some(at) = self.on_timeout
            && self.per_try.is_none()
            && ends_at_once
        {
            notes.warn(
                at,
                "`timeout` has no effect: without `per_try` an attempt that times out has used up the whole call's time",
                "add `per_try: 1s`, or a `timeout.total` above `timeout.request`",
            );
        }
        self.retry.clone()
    }

    /// Warns about a retry without a second attempt, where there is none that it stands in for, and no budget for others.
    pub fn check_attempts(&self, notes: &mut Notes) {
        if let Some(attempts) = self.attempts.as_ref().filter(|it| it.value == 1)
            && self.budget_at.is_none()
        {
            notes.warn(
                attempts.at,
                "`retry` has no effect: the one attempt of `attempts: 1` is the first",
                "write `attempts: 2`, or remove `retry`",
            );
        }
    }
}

pub(super) fn read_hedge(of: &Fields<'_>, notes: &mut Notes) -> Option<At<Hedge>> {
    let hedge = of.section("hedge", notes)?;
    let after = hedge.duration("after", notes)?;
    Some(after.map(|after| Hedge { after }))
}

/// Compares a hedge with the times of its calls and the upstream's own `retry`; `has_several`: there is another endpoint
/// to go to.
pub(super) fn check_hedge(
    hedge: &At<Hedge>,
    bounds: Bounds,
    retry: Option<&DraftRetry>,
    has_several: bool,
    notes: &mut Notes,
) {
    let ends = [
        bounds.request.map(|it| ("timeout.request", it)),
        bounds.total.map(|it| ("timeout.total", it)),
    ];
    let first = ends.into_iter().flatten().min_by_key(|(_, time)| *time);
    if let Some((name, end)) = first
        && hedge.value.after >= end
    {
        notes.error(
            hedge.at,
            format!(
                "`after` is {}, and an attempt ends after `{name}`, {}, so no hedge could begin",
                show_duration(hedge.value.after),
                show_duration(end),
            ),
            format!("lower it, or raise `{name}`"),
        );
    }
    let per_try = retry.and_then(|it| it.per_try.as_ref());
    if let Some(per_try) = per_try.filter(|it| it.value <= hedge.value.after) {
        notes.warn(
            hedge.at,
            format!(
                "`hedge` has no effect beside the upstream's `retry`: `after` is {}, and `per_try` ends an attempt after {}",
                show_duration(hedge.value.after),
                show_duration(per_try.value),
            ),
            "lower `after`, or raise `per_try`",
        );
    }
    if retry.is_some_and(|it| it.retry.attempts == 1) {
        notes.warn(
            hedge.at,
            "`hedge` has no effect beside the upstream's `retry`: a hedge is a second attempt, and `attempts` is 1",
            "write `attempts: 2`, or remove one of them",
        );
    }
    if !has_several {
        notes.warn(
            hedge.at,
            "`hedge` has no effect: it goes to another endpoint, and there is one",
            "add `endpoints`, or remove it",
        );
    }
}
