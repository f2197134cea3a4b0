//! Flows as written, run by the engine in a world without sockets.

#![cfg(feature = "run")]
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod apikit;
mod ids;
mod messages;
mod published;
mod requests;
mod scripts;
mod static_files;
mod users;
mod validations;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_mule::app::{App, Compat, Source as Trigger};
use fusebox_mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_mule::run::{
    Answer, Call, Ended, Engine, Parcel, Pending, PublishFault, Published, Reply, Responder,
    SendFault, Stores, World,
};
use fusebox_mule::{Event, Random, Typed, Value, read};
use fusebox_plan::{Loader, Severity, Source};
use fusebox_store::{Limits, MemoryStore, SystemClock};
use http::HeaderMap;
use tokio::sync::Notify;

/// A command line that binds `In` and `Out`, and files.
#[derive(Default)]
pub struct Line {
    files: HashMap<&'static str, &'static str>,
    compat: Compat,
}

impl Loader for Line {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let text = self.files.get(path).map(ToString::to_string);
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_strict(&self) -> bool {
        self.compat == Compat::Strict
    }
}

/// The listener and the server of the flows under test.
pub const CONFIGS: &str = r#"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="0"/></http:listener-config>
<http:request-config name="Out"><http:request-connection host="127.0.0.1" port="9901"/></http:request-config>
"#;

/// A world whose server answers by a function, and keeps what it was asked.
pub struct Scripted {
    answer: Box<dyn Fn(&Call) -> Answer + Send + Sync>,
    random: Random,
    calls: Mutex<Vec<Call>>,
    queues: Mutex<HashMap<Arc<str>, VecDeque<Parcel>>>,
    arrived: Notify,
}

impl Scripted {
    fn taken(&self, queue: &str) -> Option<Parcel> {
        let mut queues = self.queues.lock().unwrap();
        queues.get_mut(queue)?.pop_front()
    }
}

impl World for Scripted {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn zone(&self) -> &TimeZone {
        const { &TimeZone::UTC }
    }

    fn random(&self) -> &Random {
        &self.random
    }

    fn send(&self, call: Call) -> Pending<'_, Result<Answer, SendFault>> {
        let answer = (self.answer)(&call);
        self.calls.lock().unwrap().push(call);
        Box::pin(async { Ok(answer) })
    }

    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        parcel: Parcel,
        _: Duration,
    ) -> Pending<'a, Published> {
        Box::pin(async {
            let mut queues = self.queues.lock().unwrap();
            queues.entry(queue.clone()).or_default().push_back(parcel);
            self.arrived.notify_one();
            Ok(())
        })
    }

    fn consume<'a>(
        &'a self,
        queue: &'a Arc<str>,
        wait: Duration,
    ) -> Pending<'a, Result<Option<Parcel>, PublishFault>> {
        Box::pin(async move {
            let taken = async {
                loop {
                    let arrived = self.arrived.notified();
                    if let Some(parcel) = self.taken(queue) {
                        return parcel;
                    }
                    arrived.await;
                }
            };
            Ok(tokio::time::timeout(wait, taken).await.ok())
        })
    }

    fn spawn(&self, _: Pending<'static, ()>) {}
}

/// An answer with a body and a media type.
pub fn answer(status: u16, body: &'static str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "text/plain".parse().unwrap());
    Answer {
        status,
        reason: String::new(),
        headers,
        body: body.into(),
    }
}

/// An application that runs, with its world.
pub struct Running {
    engine: Arc<Engine>,
    world: Arc<Scripted>,
    seen: Arc<dyn World>,
}

/// Reads an application, with the diagnostics.
pub fn reading(xml: &str, line: &Line) -> (Option<Arc<App>>, Vec<String>) {
    let source = Source {
        name: "src/main/mule/a.xml",
        text: xml.as_bytes(),
    };
    let reading = read(&[source], line);
    let told = reading.diagnostics.iter().map(ToString::to_string);
    let app = reading.plan.map(|plan| plan.program::<App>().unwrap());
    (app, told.collect())
}

/// The errors of an application.
#[track_caller]
pub fn errors(xml: &str, line: &Line) -> Vec<String> {
    let source = Source {
        name: "a.xml",
        text: xml.as_bytes(),
    };
    let diagnostics = read(&[source], line).diagnostics;
    let errors = diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error);
    errors.map(ToString::to_string).collect()
}

impl Running {
    /// An application whose server always answers 200.
    #[track_caller]
    fn new(xml: &str) -> Running {
        Running::with(xml, &Line::default(), |_| answer(200, "well"))
    }

    #[track_caller]
    fn with(
        xml: &str,
        line: &Line,
        answer: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    ) -> Running {
        let (app, told) = reading(xml, line);
        let Some(app) = app else {
            panic!("{told:#?}");
        };
        let memory = || Arc::new(MemoryStore::new(Limits::default(), Arc::new(SystemClock)));
        let now = Timestamp::UNIX_EPOCH;
        let stores = Stores::open(&app, memory(), memory(), now, None).unwrap();
        let world = Arc::new(Scripted {
            answer: Box::new(answer),
            random: Random::seeded(1),
            calls: Mutex::default(),
            queues: Mutex::default(),
            arrived: Notify::new(),
        });
        Running {
            engine: Engine::new(app, stores),
            seen: world.clone(),
            world,
        }
    }

    /// Runs a flow on an event to its end.
    async fn run(&self, flow: &str, event: Event) -> Ended {
        let flow = self.engine.app().find(flow).unwrap();
        self.engine.run(&self.seen, flow, event).await
    }

    /// Runs a flow on the next message of its queue, beside whoever waits for the reply.
    async fn take(&self, flow: &str) {
        let id = self.engine.app().find(flow).unwrap();
        let Some(Trigger::Queue { queue, .. }) = &self.engine.app().flow(id).source else {
            panic!("{flow} has no queue");
        };
        let parcel = self.seen.consume(queue, Duration::from_secs(60)).await;
        let parcel = parcel.unwrap().unwrap();
        self.engine
            .receive(&self.seen, id, parcel, "new".into())
            .await;
    }

    /// The response of a flow to an event.
    async fn reply(&self, flow: &str, event: Event) -> Reply {
        let ended = self.run(flow, event).await;
        let app = self.engine.app();
        let Some(Trigger::Http(source)) = &app.flow(app.find(flow).unwrap()).source else {
            panic!("{flow} has no listener");
        };
        let responder = Responder {
            app,
            flow,
            source,
            world: &*self.seen,
        };
        responder.reply(ended)
    }

    /// The payload that a flow ends with.
    async fn payload(&self, flow: &str, event: Event) -> Value {
        match self.run(flow, event).await {
            Ok(event) => event.payload.read().unwrap(),
            Err(failure) => panic!("{}: {}", failure.error.kind, failure.error.description),
        }
    }

    /// The type and description of the error that a flow ends with.
    async fn error(&self, flow: &str, event: Event) -> (String, String) {
        match self.run(flow, event).await {
            Ok(event) => panic!("{:?}", event.payload),
            Err(failure) => {
                let error = &failure.error;
                (error.kind.to_string(), error.description.to_string())
            }
        }
    }
}

/// An event with a payload.
pub fn event(payload: impl Into<Value>) -> Event {
    Event {
        payload: Typed::java(payload.into()),
        ..Event::default()
    }
}

/// The body of a reply as a text, with its status.
pub fn shown(reply: &Reply) -> (u16, &str) {
    (
        reply.status.as_u16(),
        std::str::from_utf8(&reply.body).unwrap(),
    )
}
