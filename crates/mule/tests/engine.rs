//! The engine beyond valid configurations: deep nesting, dropped runs, a store that fails.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_mule::app::{
    App, Chain, Choice, Compat, Does, ErrorMatch, Flow, FlowId, FlowName, Foreach, Given, Handler,
    Handlers, ObjectCall, ObjectOperation, Processor, SetVariable, Site, Sleep, Try,
};
use fusebox_mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_mule::run::{
    Answer, Call, Ended, Engine, Parcel, Pending, PublishFault, SendFault, Stores, World,
};
use fusebox_mule::{Event, Properties, Random, Script};
use fusebox_store::{Fault, HostileStore, Limits, MemoryStore, SystemClock};

/// A world without upstreams and queues.
struct Nowhere {
    zone: TimeZone,
    random: Random,
    spawned: Mutex<usize>,
}

impl World for Nowhere {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn random(&self) -> &Random {
        &self.random
    }

    fn send(&self, _call: Call) -> Pending<'_, Result<Answer, SendFault>> {
        Box::pin(async { Err(SendFault::Connectivity("Connection refused".to_owned())) })
    }

    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        _: Parcel,
        _: Duration,
    ) -> Pending<'a, Result<(), PublishFault>> {
        Box::pin(async { Err(PublishFault::Full(queue.clone())) })
    }

    fn consume<'a>(
        &'a self,
        _: &'a Arc<str>,
        _: Duration,
    ) -> Pending<'a, Result<Option<Parcel>, PublishFault>> {
        Box::pin(async { Ok(None) })
    }

    fn spawn(&self, run: Pending<'static, ()>) {
        *self.spawned.lock().unwrap() += 1;
        tokio::spawn(run);
    }
}

fn nowhere() -> Arc<dyn World> {
    Arc::new(Nowhere {
        zone: TimeZone::UTC,
        random: Random::seeded(1),
        spawned: Mutex::default(),
    })
}

fn site(line: u32) -> Site {
    Site {
        file: "a.xml".into(),
        line,
        col: 1,
    }
}

fn chain(does: impl IntoIterator<Item = Does>) -> Chain {
    let processors = does.into_iter().zip(1..).map(|(does, line)| Processor {
        site: site(line),
        does,
        mappings: Vec::new(),
    });
    Chain(processors.collect())
}

fn set(name: &str, value: &str) -> Does {
    Does::SetVariable(SetVariable {
        name: Given::Literal(name.into()),
        value: Given::Expression(Script::parse(value).unwrap()),
        media_type: None,
    })
}

fn store(key: &str) -> Does {
    Does::Object(Box::new(ObjectCall {
        store: None,
        operation: ObjectOperation::Store {
            key: Given::Literal(key.into()),
            value: Some(Given::Literal("v".into())),
            fail_if_present: Given::Literal("false".into()),
            fail_on_null: Given::Literal("true".into()),
        },
        target: None,
    }))
}

/// An application with one flow, whose first handler continues.
fn app(chain: Chain, handler: Option<Chain>) -> Arc<App> {
    let handlers = handler.map(|chain| {
        Arc::new(Handlers(vec![Handler {
            site: site(1),
            continues: true,
            types: vec![ErrorMatch::parse("ANY")],
            when: None,
            logs: false,
            chain,
        }]))
    });
    let flow = Flow {
        name: "f".into(),
        site: site(1),
        is_sub: false,
        is_stopped: false,
        source: None,
        chain,
        handlers,
        max_concurrency: None,
        redelivery: None,
    };
    Arc::new(App {
        name: "a".into(),
        compat: Compat::Intent,
        properties: Properties::new(),
        stores: Vec::new(),
        listeners: Vec::new(),
        requesters: Vec::new(),
        apis: Vec::new(),
        queues: Vec::new(),
        flows: vec![Arc::new(flow)],
        default_handlers: None,
        response_timeout: Duration::from_secs(10),
        policies: Default::default(),
        circuits: Vec::new(),
    })
}

fn memory() -> MemoryStore {
    MemoryStore::new(Limits::default(), Arc::new(SystemClock))
}

fn engine(app: &Arc<App>) -> Arc<Engine> {
    let stores = Stores::open(
        app,
        Arc::new(memory()),
        Arc::new(memory()),
        Timestamp::UNIX_EPOCH,
        None,
    );
    Engine::new(app.clone(), stores.unwrap())
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

fn run(engine: &Arc<Engine>) -> Ended {
    paused().block_on(engine.run(&nowhere(), FlowId(0), Event::default()))
}

#[test]
fn a_flow_that_refers_to_itself_ends_with_an_error_and_not_with_the_stack() {
    let again = || Does::FlowRef {
        flow: FlowName::Known(FlowId(0)),
        target: None,
    };
    let within = Does::Try(Try {
        chain: chain([Does::Choice(Choice {
            whens: Vec::new(),
            otherwise: Some(chain([again()])),
        })]),
        handlers: None,
    });
    // The stack of a worker, not more.
    let ended = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(|| run(&engine(&app(chain([set("v", "1"), within]), None))))
        .unwrap()
        .join()
        .unwrap();
    let failure = ended.unwrap_err();
    assert_eq!(failure.error.kind.to_string(), "MULE:UNKNOWN");
    assert!(failure.error.description.contains("nested"));
}

#[test]
fn a_run_that_is_given_up_leaves_what_it_has_stored_and_holds_nothing() {
    let app = app(
        chain([
            store("a"),
            Does::Sleep(Sleep::Fixed(Duration::from_secs(60))),
            store("b"),
        ]),
        None,
    );
    let engine = engine(&app);
    paused().block_on(async {
        let run = engine.run(&nowhere(), FlowId(0), Event::default());
        let ended = tokio::time::timeout(Duration::from_secs(1), run).await;
        assert!(ended.is_err(), "it sleeps longer than that");
        let partition = engine.stores().partition(None);
        assert_eq!(partition.keys(Timestamp::UNIX_EPOCH).await.unwrap(), ["a"]);
    });
}

#[test]
fn a_store_that_fails_or_does_not_answer_is_not_available() {
    for fault in [Fault::Fail, Fault::Hang] {
        let handler = chain([set("kind", "error.errorType as String")]);
        let app = app(chain([store("a")]), Some(handler));
        let hostile = HostileStore::new(memory());
        hostile.stand(fault);
        let stores = Stores::open(
            &app,
            Arc::new(hostile),
            Arc::new(memory()),
            Timestamp::UNIX_EPOCH,
            None,
        );
        let event = run(&Engine::new(app.clone(), stores.unwrap())).unwrap();
        let kind = event.vars["kind"].text().unwrap();
        assert_eq!(kind.as_deref(), Some("OS:STORE_NOT_AVAILABLE"), "{fault:?}");
        assert!(event.error.is_null());
    }
}

#[test]
fn a_long_loop_that_waits_for_nothing_lets_others_run() {
    let list = Script::parse("1 to 100000").unwrap();
    let foreach = Does::Foreach(Foreach {
        collection: Some(list),
        counter: "counter".into(),
        root: "rootMessage".into(),
        batch: Given::Literal("1".into()),
        chain: chain([set("v", "payload")]),
    });
    let engine = engine(&app(chain([foreach]), None));
    paused().block_on(async {
        let mut run = engine.run(&nowhere(), FlowId(0), Event::default());
        tokio::select! {
            biased;
            ended = &mut run => panic!("it ended before anybody had a turn: {ended:?}"),
            () = std::future::ready(()) => {}
        }
    });
}
