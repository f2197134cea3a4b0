//! Three processes and one breaker: `cargo run -p fusebox-fleet --example three_processes`.
//!
//! Here they run in one program, with a store in memory; in production each is a program of its own, and the store is a
//! server.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Breaker, Clock, Cooldown, MonotonicClock, Outcome, Settings};
use fusebox_fleet::{FleetOptions, Share, fleet};
use fusebox_store::{
    SystemClock,
    records::{MemoryRecords, SharedRecords},
};
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records: Arc<dyn SharedRecords> = Arc::new(MemoryRecords::new(Arc::new(SystemClock)));
    let clock = Arc::new(MonotonicClock);
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(500)),
        ..Settings::default()
    };

    let mut breakers = Vec::new();
    for node in ["anna", "bert", "carl"] {
        let options = FleetOptions {
            clock: clock.clone(),
            ..FleetOptions::new(node)
        };
        let (fleet, driver) = fleet(options, records.clone());
        tokio::spawn(driver.run());

        let listener = fleet.listener(Share::Verdict, None);
        let breaker = Breaker::builder("orders", settings.clone())
            .listener(listener)
            .build()?;
        fleet.join(&breaker, Share::Verdict)?;
        breakers.push(breaker);
    }
    sleep(Duration::from_millis(20)).await;

    println!("anna sees five failures in a row");
    for _ in 0..5 {
        if let Ok(permit) = breakers[0].admit(clock.now()) {
            permit.record(Outcome::Failure, clock.now());
        }
    }
    sleep(Duration::from_millis(20)).await;
    show(&breakers, &clock);

    println!("half a second later calls come to all three, and one of them is let through");
    sleep(Duration::from_millis(500)).await;
    for round in 0..2 {
        for breaker in &breakers {
            if let Ok(permit) = breaker.admit(clock.now()) {
                println!("  a probe, in round {round}");
                permit.record(Outcome::Success, clock.now());
                break;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    show(&breakers, &clock);
    Ok(())
}

fn show(breakers: &[Breaker], clock: &MonotonicClock) {
    for (node, breaker) in ["anna", "bert", "carl"].iter().zip(breakers) {
        println!("  {node}: {}", breaker.explain(clock.now()));
    }
}
