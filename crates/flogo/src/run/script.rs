//! Runs scripts beside the workers: each on a thread of its own, so that none delays other requests, with a limit on their
//! number and on the time of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::language::json::Numbers;
use crate::language::value::{NilKind, Value};
use crate::script;
use crate::{Fault, Map};

/// The longest time of a script, the wait for its turn included.
const TIME_MAX: Duration = Duration::from_secs(1);

/// The most scripts at once, over all requests. One that does not heed its end, within a single long operation of the
/// engine, keeps its place until that is over.
const AT_ONCE: usize = 16;

static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);

/// Ends a script once its request has an answer or is gone.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a script and returns the activity's outputs. Its errors are outputs.
///
/// # Errors
/// Fails if `parameters` is no object.
pub async fn outputs(text: &Arc<str>, inputs: &Map) -> Result<Map, Fault> {
    let parameters = match inputs.get("parameters") {
        None | Some(Value::Null) => Arc::default(),
        Some(parameters) => parameters
            .to_object()
            .map_err(|error| Fault::activity(error.message))?,
    };
    let written = Value::Object(parameters).to_json_text();
    let done = match written {
        Ok(parameters) => run(text.clone(), parameters).await,
        Err(fault) => Err(fault.message),
    };
    let done = done.and_then(|result| match result {
        Some(result) => {
            Value::from_json_text(&result, Numbers::Float).map_err(|fault| fault.message)
        }
        None => Ok(Value::Nil(NilKind::Object)),
    });
    let (is_error, message, result) = match done {
        Ok(result) => (false, String::new(), result),
        Err(message) => (true, message, Value::Nil(NilKind::Object)),
    };
    Ok(Map::from([
        ("error".into(), is_error.into()),
        ("errorMessage".into(), message.as_str().into()),
        ("result".into(), result),
    ]))
}

async fn run(text: Arc<str>, parameters: String) -> Result<Option<String>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Stop(stop.clone());
    let run = async {
        let place = PLACES.acquire().await;
        let (sender, receiver) = oneshot::channel();
        let thread = thread::Builder::new().name("fusebox-script".to_owned());
        let thread = thread.stack_size(script::THREAD_STACK);
        let spawned = thread.spawn(move || {
            let _ = sender.send(script::run(&text, &parameters, &stop));
            drop(place);
        });
        spawned.map_err(|error| format!("no thread for the script: {error}"))?;
        receiver
            .await
            .unwrap_or_else(|_| Err("the script's engine has failed".to_owned()))
    };
    let done = tokio::time::timeout(TIME_MAX, run).await;
    drop(told);
    done.unwrap_or_else(|_| {
        let seconds = TIME_MAX.as_secs();
        tracing::warn!("a script did not end within {seconds} s, and is stopped");
        Err(format!("the script did not end within {seconds} s"))
    })
}
