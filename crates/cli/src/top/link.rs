//! The connection to the gateway: the stream of events, joined again after each loss, and single requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use http::Method;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::input::{Effect, Input};
use super::model::Snapshot;
use super::sse::Frames;
use crate::admin_client::{AdminClient, encode};
use crate::breakers::{operator, path};
use crate::printable::{printable, with_causes};

/// The stream with all events, and the rates each second.
const EVENTS: &str = "/api/v1/events?pulse=1s";
/// The largest problem report, in bytes.
const PROBLEM_MAX: usize = 64 << 10;
/// The time for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The silence after which a stream counts as dead: there is a pulse each second.
const SILENCE_MAX: Duration = Duration::from_secs(6);
/// The wait before the first try to join again; it doubles with each further one.
const WAIT_MIN: Duration = Duration::from_millis(250);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The way for inputs into the program.
pub type Inputs = UnboundedSender<Input>;

/// Reads everything.
///
/// # Errors
/// As [`AdminClient::get`]; an answer of another form; no answer in time.
pub async fn read_state(client: &AdminClient) -> anyhow::Result<Snapshot> {
    let state = in_time(client.get("/api/v1/state")).await?;
    serde_json::from_value(state)
        .map_err(|error| anyhow!("the gateway's state has another form than expected: {error}"))
}

/// Reads events from the one after `last_id` on, until the program ends.
pub async fn follow(client: Arc<AdminClient>, last_id: String, inputs: Inputs) {
    let mut last_id = last_id;
    let mut wait = WAIT_MIN;
    loop {
        let mut joined = || wait = WAIT_MIN;
        let ended = read_events(&client, &mut last_id, &inputs, &mut joined).await;
        let why = match ended {
            Ok(()) => "the gateway has ended the stream of events".into(),
            Err(error) => with_causes(&error),
        };
        if inputs.send(Input::Lost(why, wait)).is_err() {
            return;
        }
        sleep(wait).await;
        wait = WAIT_MAX.min(wait * 2);
    }
}

async fn read_events(
    client: &AdminClient,
    last_id: &mut String,
    inputs: &Inputs,
    joined: &mut impl FnMut(),
) -> anyhow::Result<()> {
    let mut body = in_time(open(client, last_id)).await?;
    joined();
    inputs.send(Input::Joined)?;
    let mut frames = Frames::default();
    loop {
        let part = timeout(SILENCE_MAX, body.frame()).await;
        let part = part.map_err(|_| anyhow!("no sign of life for {SILENCE_MAX:?}"))?;
        let Some(part) = part else {
            return Ok(());
        };
        let part = part.map_err(|error| anyhow!("the stream of events was cut off: {error}"))?;
        let Ok(bytes) = part.into_data() else {
            continue;
        };
        for frame in frames.read(&bytes)? {
            if let Some(id) = frame.id {
                *last_id = id;
            }
            inputs.send(Input::Event(frame.event))?;
        }
    }
}

/// Opens the stream after the event `last_id`.
async fn open(client: &AdminClient, last_id: &str) -> anyhow::Result<Incoming> {
    let target = format!("{EVENTS}&last_event_id={}", encode(last_id));
    let answer = client.open(Method::GET, &target, None).await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    let body = Limited::new(answer.into_body(), PROBLEM_MAX)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow!("{status}: {error}"))?;
    let problem: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    match problem["detail"].as_str() {
        Some(detail) => bail!("{status}: {}", printable(detail)),
        None => bail!("{status}"),
    }
}

/// Begins an act for which a gateway is needed; its result comes as an input.
pub fn begin(client: &Arc<AdminClient>, effect: Effect, inputs: &Inputs) {
    let (client, inputs) = (client.clone(), inputs.clone());
    tokio::spawn(async move {
        let input = match effect {
            Effect::ReadState => {
                let state = read_state(&client).await;
                Input::State(state.map(Box::new).map_err(|error| with_causes(&error)))
            }
            Effect::ReadBreaker(name) => {
                let answer = in_time(client.get(&path(&name))).await;
                Input::Breaker(name, answer.map_err(|error| with_causes(&error)))
            }
            Effect::Send(order) => {
                let target = format!("{}/{}", path(&order.name), order.action.path());
                let body = order.body(&operator());
                let answer = in_time(client.post(&target, &body)).await;
                Input::Done(order, answer.map_err(|error| with_causes(&error)))
            }
            Effect::Quit => return,
        };
        // The program may have ended meanwhile.
        inputs.send(input).ok();
    });
}

async fn in_time<T>(answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match timeout(ANSWER_MAX, answer).await {
        Ok(answer) => answer,
        Err(_) => bail!("the gateway has not answered within {ANSWER_MAX:?}"),
    }
}
