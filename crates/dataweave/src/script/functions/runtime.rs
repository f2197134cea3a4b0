//! The module `dw::Runtime`: failing, trying, waiting.
//! ([Runtime](https://docs.mulesoft.com/dataweave/latest/dw-runtime))

use super::{Builtin, applied, misfit, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::{Object, Value};

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("fail", 0, |run, args| {
        let message = args.first().map(coerce::text).transpose()?;
        Err(run.refused(message.as_deref().unwrap_or("Error")))
    })
    .up_to(1),
    plain("failIf", 2, fail_if).up_to(3).higher(),
    plain("try", 1, tried).lazy(0),
    plain("orElse", 2, |run, args| match result(&args[0])? {
        Ok(value) => Ok(value),
        Err(_) => forced(run, &args[1]),
    })
    .lazy(1),
    plain("orElseTry", 2, |run, args| match result(&args[0])? {
        Ok(_) => Ok(args[0].clone()),
        Err(_) => tried(run, &args[1..]),
    })
    .lazy(1),
    plain("wait", 2, wait),
    plain("prop", 1, |run, args| {
        let key = coerce::text(&args[0])?;
        let value = run.context.properties.get(&key).cloned();
        Ok(value.map(Value::String).unwrap_or_default())
    }),
    plain("props", 0, |run, _| {
        // Secure properties are read by their names alone.
        let all = run.context.properties.iter();
        let plain = all.filter(|(key, _)| !key.starts_with("secure::"));
        let plain = plain.map(|(key, value)| (key.clone().into(), Value::String(value.clone())));
        let plain = plain.collect();
        run.object(plain)
    }),
    // The release that belongs to Mule 4.4.
    plain("version", 0, |_, _| Ok("2.4".into())),
    plain("location", 1, |_, _| Ok(Value::Null)),
    plain("locationString", 1, |_, _| Ok("Unknown location".into())),
];

fn fail_if(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let fails = applied(run, &args[1], vec![args[0].clone()])?;
    if !coerce::boolean(&fails)? {
        return Ok(args[0].clone());
    }
    let message = args.get(2).map(coerce::text).transpose()?;
    Err(run.refused(message.as_deref().unwrap_or("Failed")))
}

/// The value of a function without parameters, of one that gives one, or of a constant.
fn forced(run: &mut Run<'_>, function: &Value) -> Coerced<Value> {
    match applied(run, function, Vec::new())? {
        inner @ Value::Function(_) => applied(run, &inner, Vec::new()),
        value => Ok(value),
    }
}

/// Evaluates `try`: `{success: true, result: …}`, or `{success: false, error: …}`.
fn tried(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    run.take_refusal();
    match forced(run, &args[0]) {
        Ok(value) => run.object(vec![
            ("success".into(), true.into()),
            ("result".into(), value),
        ]),
        Err(EvalFault { description, .. }) => {
            let kind = match run.take_refusal() {
                true => "UserException",
                false => "Exception",
            };
            let error = run.object(vec![
                ("kind".into(), kind.into()),
                ("message".into(), description.into()),
                ("location".into(), "Unknown location".into()),
                ("stack".into(), Value::array(Vec::new())),
            ])?;
            run.object(vec![
                ("success".into(), false.into()),
                ("error".into(), error),
            ])
        }
    }
}

/// The result of a `try`: its value, or its error.
fn result(value: &Value) -> Coerced<Result<Value, Value>> {
    let fault = || misfit("orElse", "the result of a `try`", value);
    let Value::Object(object) = value else {
        return Err(fault());
    };
    let get = |object: &Object, key: &str| object.get(key).cloned().unwrap_or_default();
    match coerce::boolean(&get(object, "success")).map_err(|_| fault())? {
        true => Ok(Ok(get(object, "result"))),
        false => Ok(Err(get(object, "error"))),
    }
}

/// Evaluates `wait`: the flow waits for that long once the expression is evaluated.
fn wait(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let millis = coerce::integer(&args[1])?;
    let millis = u64::try_from(millis).map_err(|_| {
        misfit(
            "wait",
            "a number of milliseconds that is not negative",
            &args[1],
        )
    })?;
    run.wait(millis)?;
    Ok(args[0].clone())
}
