//! Three processes that share a breaker through a server: `three_processes [URL]`.
//!
//! The first process starts the other three, each a program of its own; without a URL it starts a Valkey or Redis server,
//! too. One of them sees the service fail, and all of them stop calling it; one of them probes for all.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fusebox_breaker::{
    Breaker, Clock, Cooldown, Listener, MonotonicClock, Outcome, Settings, Transition,
};
use fusebox_fleet::{FleetOptions, Share, fleet};
use fusebox_store::testing::Server;
use fusebox_store::{
    ValkeyOptions,
    records::{SharedRecords, ValkeyRecords},
};
use tokio::process::Command;
use tokio::time::sleep;

/// Prints what happens to a breaker of a node.
struct Print(String);

impl Listener for Print {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        println!("{}: {}: {transition}", self.0, breaker.name());
    }
}

/// A node: asks the breaker every 20 ms for three seconds. `anna` sees the service fail in the first one.
async fn node(name: String, url: &str) -> anyhow::Result<()> {
    let records = ValkeyRecords::open(ValkeyOptions::parse(url)?)?;
    let records: Arc<dyn SharedRecords> = Arc::new(records);
    let (fleet, driver) = fleet(FleetOptions::new(name.clone()), records);
    tokio::spawn(driver.run());

    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(800)),
        ..Settings::default()
    };
    let print = Arc::new(Print(name.clone()));
    let breaker = Breaker::builder("orders", settings)
        .listener(fleet.listener(Share::Verdict, Some(print)))
        .build()?;
    fleet.join(&breaker, Share::Verdict)?;

    let (mut called, mut refused) = (0, 0);
    for round in 0..150 {
        sleep(Duration::from_millis(20)).await;
        match breaker.admit(MonotonicClock.now()) {
            Ok(permit) => {
                called += 1;
                let fails = name == "anna" && (20..50).contains(&round);
                let outcome = if fails {
                    Outcome::Failure
                } else {
                    Outcome::Success
                };
                permit.record(outcome, MonotonicClock.now());
            }
            Err(_) => refused += 1,
        }
    }
    println!("{name}: {called} calls, {refused} refused");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [name, url] = &arguments[..] {
        return node(name.clone(), url).await;
    }
    let server = arguments.is_empty().then(Server::start);
    let url = match &server {
        Some(server) => server.url(),
        None => arguments[0].clone(),
    };
    let program = std::env::current_exe()?;
    let mut nodes = Vec::new();
    for name in ["anna", "bert", "carl"] {
        let started = Command::new(&program).args([name, &url]).spawn();
        nodes.push(started.with_context(|| format!("{name} does not start"))?);
    }
    for mut node in nodes {
        anyhow::ensure!(node.wait().await?.success(), "a node failed");
    }
    Ok(())
}
