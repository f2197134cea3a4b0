//! The module `dw::util::Timer`: the clock in milliseconds, and the time that a function takes.
//! ([Timer](https://docs.mulesoft.com/dataweave/latest/dw-timer))

use super::{Builtin, applied, misfit, plain};
use crate::script::coerce::Coerced;
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("currentMilliseconds", 0, |run, _| {
        Ok(run.context.now.as_millisecond().into())
    }),
    plain("toMilliseconds", 1, |_, args| match &args[0] {
        Value::DateTime(at) => Ok(at.timestamp().as_millisecond().into()),
        other => Err(misfit("toMilliseconds", "a DateTime", other)),
    }),
    plain("duration", 1, |run, args| {
        let result = applied(run, &args[0], Vec::new())?;
        // The clock stands still during an evaluation.
        run.object(vec![
            ("time".into(), 0_i64.into()),
            ("result".into(), result),
        ])
    }),
    plain("time", 1, time),
];

fn time(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let result = applied(run, &args[0], Vec::new())?;
    let now = run.context.now.to_zoned(run.context.zone.clone());
    let now = Value::DateTime(now.into());
    run.object(vec![
        ("start".into(), now.clone()),
        ("result".into(), result),
        ("end".into(), now),
    ])
}
