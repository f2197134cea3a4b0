//! Scripts of the `jsexec` activity: JavaScript with bounded memory and depth, which can be ended from outside, and has no
//! access to files, the network, modules or output.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rquickjs::context::EvalOptions;
use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Error, Function, Object, Runtime, Value,
};

/// The most memory of a script, in bytes.
const MEMORY_MAX: usize = 16 * 1024 * 1024;

/// The most stack of a script, in bytes: about a thousand calls within one another. A thread that runs scripts has
/// [`THREAD_STACK`].
const STACK_MAX: usize = 512 * 1024;

/// The stack of a thread that runs a script, in bytes.
pub(crate) const THREAD_STACK: usize = 2 * 1024 * 1024;

/// The name of scripts in messages, as in the original.
const NAME: &str = "JSServiceScript";

/// The statement before a script that is only compiled.
const NOT_RUN: &str = "throw 0;";

/// Writes a result as Go does: undefined members are null, and values that JSON does not have are errors.
const AS_GO: &str = "(function (key, value) {
    switch (typeof value) {
    case 'undefined': return null;
    case 'function': throw 'json: unsupported type: function';
    case 'symbol': throw 'json: unsupported type: symbol';
    case 'bigint': throw 'json: unsupported type: bigint';
    case 'number': if (value - value !== 0) throw 'json: unsupported value: ' + value;
    }
    return value;
})";

/// Runs a script with `parameters`, the JSON text of an object, and an empty object `result`. Returns the JSON text of
/// `result`; `None` if it is no object afterwards. It ends soon after `stop` is set.
///
/// # Errors
/// The uncaught error in JavaScript's words with its place, or a bound that was reached.
pub(crate) fn run(
    script: &str,
    parameters: &str,
    stop: &Arc<AtomicBool>,
) -> Result<Option<String>, String> {
    within(stop, |ctx| {
        let globals = ctx.globals();
        globals.set("parameters", ctx.json_parse(parameters)?)?;
        globals.set("result", Object::new(ctx.clone())?)?;
        let as_go: Function<'_> = ctx.eval(AS_GO)?;
        let _: Value<'_> = ctx.eval_with_options(script, options())?;
        let result: Value<'_> = globals.get("result")?;
        if !result.is_object() || result.is_array() || result.is_function() {
            return Ok(None);
        }
        let text = ctx.json_stringify_replacer(result, as_go)?;
        text.map(|text| text.to_string()).transpose()
    })
}

/// The fault of a script that does not compile; it is not run.
pub(crate) fn fault(script: &str) -> Option<String> {
    let never = Arc::new(AtomicBool::new(false));
    let compiled = within(&never, |ctx| {
        let text = format!("{NOT_RUN}{script}");
        ctx.eval_with_options::<Value<'_>, _>(text, options())?;
        Ok(())
    });
    let fault = compiled.err().filter(|fault| fault != "0")?;
    // The first line has the statement in front of it.
    let first = format!(" at {NAME}:1:");
    let shifted = fault.split_once(&first).and_then(|(message, column)| {
        let column: usize = column.parse().ok()?;
        Some(format!(
            "{message}{first}{}",
            column.checked_sub(NOT_RUN.len())?
        ))
    });
    Some(shifted.unwrap_or(fault))
}

fn options() -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(NAME.to_owned());
    options
}

/// Runs `work` in an engine of its own, which ends with it.
fn within<T>(
    stop: &Arc<AtomicBool>,
    work: impl for<'js> FnOnce(&Ctx<'js>) -> Result<T, Error>,
) -> Result<T, String> {
    let engine = |error: Error| format!("the script's engine does not start: {error}");
    let runtime = Runtime::new().map_err(engine)?;
    runtime.set_memory_limit(MEMORY_MAX);
    runtime.set_max_stack_size(STACK_MAX);
    let stop = stop.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || stop.load(Ordering::Relaxed))));
    let context = Context::full(&runtime).map_err(engine)?;
    context.with(|ctx| work(&ctx).catch(&ctx).map_err(|error| said(&error)))
}

/// An uncaught error in JavaScript's words.
fn said(error: &CaughtError<'_>) -> String {
    match error {
        CaughtError::Error(error) => error.to_string(),
        CaughtError::Value(value) if value.is_null() => format!(
            "null was thrown, or the script has used up its {} MiB of memory",
            MEMORY_MAX / 1024 / 1024
        ),
        CaughtError::Value(value) => match value.as_string().map(rquickjs::String::to_string) {
            Some(Ok(text)) => text,
            _ => {
                let text = value.ctx().json_stringify(value.clone());
                let text = text.ok().flatten().and_then(|text| text.to_string().ok());
                text.unwrap_or_else(|| value.type_name().to_owned())
            }
        },
        CaughtError::Exception(exception) => {
            let name: Option<String> = exception.as_object().get("name").ok();
            let message = exception.message().unwrap_or_default();
            let stack = exception.stack().unwrap_or_default();
            let place = place(&stack).map_or_else(String::new, |at| format!(" at {NAME}:{at}"));
            format!("{}: {message}{place}", name.as_deref().unwrap_or("Error"))
        }
    }
}

/// The line and the column of the innermost place of a script in a stack.
fn place(stack: &str) -> Option<&str> {
    let (_, rest) = stack.split_once(NAME)?;
    let rest = rest.strip_prefix(':')?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ':');
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn done(script: &str) -> Result<Option<String>, String> {
        let stop = Arc::new(AtomicBool::new(false));
        run(script, r#"{"a": 1, "b": {"c": [2, "x"]}}"#, &stop)
    }

    #[track_caller]
    fn gives(script: &str, result: &str) {
        assert_eq!(done(script), Ok(Some(result.to_owned())), "{script}");
    }

    #[track_caller]
    fn fails(script: &str, message: &str) {
        assert_eq!(done(script), Err(message.to_owned()), "{script}");
    }

    #[test]
    fn a_script_reads_its_parameters_and_writes_its_result() {
        gives(
            "result.sum = parameters.a + parameters.b.c[0]",
            r#"{"sum":3}"#,
        );
        gives("", "{}");
        gives(
            "var f = function(x) { return x.map(y => y + 1) }; result = { l: f([1]) }",
            r#"{"l":[2]}"#,
        );
        gives(
            "result.none = undefined; result.date = new Date(0)",
            r#"{"none":null,"date":"1970-01-01T00:00:00.000Z"}"#,
        );
        assert_eq!(done("result = 5"), Ok(None));
        assert_eq!(done("result = [1]"), Ok(None));
    }

    #[test]
    fn an_uncaught_error_is_said_with_its_place() {
        fails(
            "\n  missing.name",
            "ReferenceError: missing is not defined at JSServiceScript:2:3",
        );
        fails(
            "throw new TypeError('no')",
            "TypeError: no at JSServiceScript:1:11",
        );
        fails("throw 'words'", "words");
        fails("throw { code: 5 }", r#"{"code":5}"#);
        fails(
            "result.f = function() {}",
            "json: unsupported type: function",
        );
        fails("result.n = 0 / 0", "json: unsupported value: NaN");
        fails(
            "let = = 3",
            "SyntaxError: unexpected token in expression: '=' at JSServiceScript:1:7",
        );
    }

    #[test]
    fn a_script_is_compiled_without_being_run() {
        assert_eq!(fault("while (true) {}"), None);
        assert_eq!(fault("result.sum = 1 // end"), None);
        let fault = fault("x = 1;\nlet = = 3").unwrap();
        assert_eq!(
            fault,
            "SyntaxError: unexpected token in expression: '=' at JSServiceScript:2:7"
        );
    }

    #[test]
    fn a_script_reaches_nothing_outside() {
        let names = "['std', 'os', 'require', 'process', 'print', 'console', 'fetch', 'setTimeout', 'Worker']";
        gives(
            &format!("result.any = {names}.some(name => name in globalThis)"),
            r#"{"any":false}"#,
        );
        // A module is never found: the promise of it stays unanswered.
        gives("import('fs').then(() => { result.read = true })", "{}");
        // Each run has an engine of its own.
        gives(
            "globalThis.seen = (globalThis.seen || 0) + 1; result.seen = seen",
            r#"{"seen":1}"#,
        );
    }

    #[test]
    fn memory_and_depth_are_bounded() {
        for script in [
            "let a = []; while (true) a.push('x'.repeat(1000) + a.length)",
            "'x'.repeat(1e9)",
            "function f() { return f() + 1 } f()",
            "JSON.parse('['.repeat(1000000))",
            "new Array(4294967295).fill(0)",
            "let s = 'a'; while (true) s += s",
            "2n ** (2n ** 30n)",
        ] {
            assert!(done(script).is_err(), "{script}");
        }
        for text in ["(", "[", "!", "`${", "{", "1+", "a?"] {
            assert!(done(&text.repeat(200_000)).is_err(), "{text}");
        }
        // Deep data is freed without recursion.
        gives(
            "let a = []; for (let i = 0; i < 100000; i++) a = [a]; result.done = true",
            r#"{"done":true}"#,
        );
    }

    #[test]
    fn a_script_that_never_ends_ends_when_it_is_told_to() {
        for script in [
            "while (true) {}",
            "while (true) { try { while (true) {} } catch (e) {} }",
            "function f() { try { while (true) {} } finally { f() } } f()",
            "/(a+)+$/.test('a'.repeat(40) + 'b')",
        ] {
            let stop = Arc::new(AtomicBool::new(false));
            let (sender, receiver) = mpsc::channel();
            let told = stop.clone();
            let runs = std::thread::spawn(move || sender.send(run(script, "{}", &told)));
            // Without `stop` there is no end, so this wait is in vain.
            let early = receiver.recv_timeout(Duration::from_millis(20));
            assert!(early.is_err(), "{script}: {early:?}");
            stop.store(true, Ordering::Relaxed);
            let ended = receiver.recv().unwrap().unwrap_err();
            assert!(ended.contains("interrupted"), "{script}: {ended}");
            runs.join().unwrap().unwrap();
        }
    }
}
