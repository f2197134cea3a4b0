//! Breakers that survive a restart: `cargo run --bin restart`.
//!
//! A registry is kept in a store: every breaker that changes is written down, and a new process takes up what it finds.
//! The store knows nothing of breakers; they go there as JSON. Two processes in turn are played here.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "a restart is bridged by the wall clock"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fusebox_breaker::{
    Breaker, CallError, Guards, Listener, Registry, Saved, Settings, Transition,
};
use fusebox_store::{EmbeddedOptions, EmbeddedStore, NewObject, ObjectStore, When};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Fault = Box<dyn std::error::Error>;

const PARTITION: &str = "breakers";

/// Hands every breaker that has changed to whoever writes it down, so that no call waits for the disk.
struct Changed(UnboundedSender<Breaker>);

impl Listener for Changed {
    fn transition(&self, breaker: &Breaker, _: &Transition) {
        let _ = self.0.send(breaker.clone());
    }
}

/// Writes down what has changed, as it is by then.
async fn keep(
    changed: &mut UnboundedReceiver<Breaker>,
    guards: &Guards,
    store: &EmbeddedStore,
) -> Result<(), Fault> {
    while let Ok(breaker) = changed.try_recv() {
        let saved = breaker.saved(guards.now()).at(SystemTime::now());
        let object = NewObject::text(serde_json::to_string(&saved)?);
        let key = guards.registry().key_of(&breaker);
        store.put(PARTITION, key, object, When::Always).await?;
    }
    Ok(())
}

/// Takes up what an earlier process left.
async fn restore(guards: &Guards, store: &EmbeddedStore) -> Result<(), Fault> {
    for key in store.keys(PARTITION, "", 100_000).await? {
        let Some(object) = store.get(PARTITION, &key).await? else {
            continue;
        };
        let saved: Saved = serde_json::from_slice(&object.value)?;
        let breaker = guards.registry().get_or_create(&key, guards.now());
        breaker.restore(&saved.at(SystemTime::now()), guards.now());
    }
    Ok(())
}

async fn process(name: &str, data: &Path, calls: u32) -> Result<(), Fault> {
    let (store, _) = EmbeddedStore::open(data, EmbeddedOptions::default())?;
    let (sender, mut changed) = unbounded_channel();
    let registry = Registry::builder("tenants", Settings::default())
        .listener(Arc::new(Changed(sender)))
        .build()?;
    let guards = Guards::new(registry);
    restore(&guards, &store).await?;

    for _ in 0..calls {
        if let Err(CallError::Rejected(rejection)) = guards.of("acme").call(|| Err::<(), _>("down"))
        {
            println!("{name}: acme is refused: {rejection}");
        }
        let _ = guards.of("other").call(|| Ok::<_, &str>(()));
        keep(&mut changed, &guards, &store).await?;
    }
    for breaker in guards.registry().iter() {
        println!(
            "{name}: {}: {}",
            breaker.name(),
            breaker.explain(guards.now())
        );
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let data = std::env::temp_dir().join(format!("fusebox-restart-{}", std::process::id()));
    std::fs::create_dir_all(&data)?;
    process("first process", &data, 5).await?;
    process("second process", &data, 1).await?;
    std::fs::remove_dir_all(&data)?;
    Ok(())
}
