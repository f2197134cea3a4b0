//! The ready-made listeners: what they tell `metrics` and `tracing`.
#![cfg(all(feature = "metrics", feature = "tracing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fusebox_breaker::{
    Breaker, Hold, HoldKind, MetricsListener, Mode, Outcome, Settings, Timestamp, TracingListener,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

/// Keeps every counter and gauge under its name and labels.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Kept {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()));
        let name = format!("{}{{{}}}", key.name(), labels.collect::<Vec<_>>().join(","));
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    fn counter(&self, name: &str) -> Option<u64> {
        let cells = self.0.lock().unwrap();
        cells.get(name).map(|cell| cell.load(Ordering::Relaxed))
    }

    fn gauge(&self, name: &str) -> Option<f64> {
        self.counter(name).map(f64::from_bits)
    }
}

impl metrics::Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn breaker(name: &str, listener: Arc<MetricsListener>) -> Breaker {
    Breaker::builder(name, Settings::default())
        .listener(listener)
        .build()
        .unwrap()
}

fn trip(breaker: &Breaker, now: Timestamp) {
    for _ in 0..5 {
        breaker.report(Outcome::Failure, now);
    }
}

#[test]
fn metrics_follow_a_breaker_through_its_states() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let listener = Arc::new(MetricsListener::new());
        let orders = breaker("orders", listener.clone());
        let state = |state: &str| {
            kept.gauge(&format!(
                "fusebox_breaker_state{{breaker=orders,state={state}}}"
            ))
        };
        assert_eq!(state("closed"), None);
        listener.watch(&orders);
        assert_eq!(
            (state("closed"), state("open"), state("half_open")),
            (Some(1.0), Some(0.0), Some(0.0))
        );
        trip(&orders, at(0));
        assert_eq!((state("closed"), state("open")), (Some(0.0), Some(1.0)));
        let opened = "fusebox_breaker_transitions_total{breaker=orders,from=closed,to=open,reason=consecutive_failures}";
        assert_eq!(kept.counter(opened), Some(1));

        orders.refused(orders.admit(at(1)).unwrap_err(), at(1));
        for rejected in [
            "fusebox_breaker_rejected_total{breaker=orders,state=open}",
            "fusebox_breaker_rejected_reason_total{breaker=orders,reason=breaker_open}",
        ] {
            assert_eq!(kept.counter(rejected), Some(1), "{rejected}");
        }

        // Time alone decides it, and looking shows it.
        listener.observe(&orders, at(30_000));
        assert_eq!(state("half_open"), Some(1.0));
        assert_eq!(
            kept.counter("fusebox_breaker_calls_total{breaker=orders,outcome=failure}"),
            Some(5)
        );
        assert_eq!(
            kept.gauge("fusebox_breaker_failure_ratio{breaker=orders}"),
            Some(0.0)
        );
        let held = || kept.gauge("fusebox_breaker_held{breaker=orders}");
        let hold = Hold {
            kind: HoldKind::Closed,
            until: None,
            reason: "moving".into(),
            by: "ann".into(),
        };
        orders.hold(hold, at(30_000));
        assert_eq!(held(), Some(1.0));
        orders.reset(at(30_001));
        assert_eq!((held(), state("closed")), (Some(0.0), Some(1.0)));
    });
}

#[test]
fn calls_that_a_monitor_let_pass_are_a_metric() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let listener = MetricsListener::new();
        let settings = Settings {
            mode: Mode::Monitor,
            ..Settings::default()
        };
        let orders = Breaker::new("orders", settings).unwrap();
        trip(&orders, at(0));
        for _ in 0..3 {
            drop(orders.admit(at(1)).unwrap());
        }
        listener.observe(&orders, at(1));
        let passed = "fusebox_breaker_would_reject_total{breaker=orders}";
        assert_eq!(kept.counter(passed), Some(3));
    });
}

#[test]
fn breakers_past_the_most_are_counted_together() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let listener = Arc::new(MetricsListener::new());
        for number in 0..MetricsListener::BREAKERS_MAX + 3 {
            trip(&breaker(&format!("key-{number}"), listener.clone()), at(0));
        }
        let late = breaker("late", listener.clone());
        listener.watch(&late);
        listener.observe(&late, at(0));
        trip(&late, at(0));
        late.refused(late.admit(at(0)).unwrap_err(), at(0));
    });
    let other = "fusebox_breaker_transitions_total{breaker=other,from=closed,to=open,reason=consecutive_failures}";
    assert_eq!(kept.counter(other), Some(4));
    assert_eq!(
        kept.counter("fusebox_breaker_rejected_total{breaker=other,state=open}"),
        Some(1)
    );
    let names = kept.0.lock().unwrap();
    let states = names
        .keys()
        .filter(|name| name.starts_with("fusebox_breaker_state"));
    assert_eq!(states.count(), 3 * MetricsListener::BREAKERS_MAX);
}

/// Keeps every event as a line of its level, target and fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, " {field}={value:?}").unwrap();
            }
        }
        let meta = event.metadata();
        let mut fields = Fields(format!("{} {}:", meta.level(), meta.target()));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn the_log_tells_every_transition_and_warns_of_those_that_open() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let breaker = Breaker::builder("orders", Settings::default())
            .listener(Arc::new(TracingListener))
            .build()
            .unwrap();
        trip(&breaker, at(0));
        breaker.report(Outcome::Success, at(30_000));
        breaker.reset(at(30_001));
    });
    let lines = lines.0.lock().unwrap();
    assert_eq!(
        *lines,
        [
            "WARN fusebox_breaker: message=breaker orders is open: 5 consecutive failures, the limit is 5 \
             breaker=orders from=\"closed\" to=\"open\" token=\"consecutive_failures\" generation=1",
            "INFO fusebox_breaker: message=breaker orders is half-open: the cooldown ended \
             breaker=orders from=\"open\" to=\"half_open\" token=\"cooldown_ended\" generation=2",
            "INFO fusebox_breaker: message=breaker orders is closed: 1 of 1 answered probes succeeded \
             breaker=orders from=\"half_open\" to=\"closed\" token=\"probe_ok\" generation=3",
            "INFO fusebox_breaker: message=breaker orders: reset by an operator \
             breaker=orders from=\"closed\" to=\"closed\" token=\"reset\" generation=4",
        ]
    );
}
