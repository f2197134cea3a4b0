//! Threads that share a guard: `cargo run -p fusebox-breaker --example threads`.
//!
//! Four threads call a service that breaks for a while. The breaker lets a few failures through, refuses the rest at once,
//! probes when its cooldown is over, and closes again.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use fusebox_breaker::{CallError, Cooldown, Guard, Settings};

/// A service that answers, or does not.
#[derive(Default)]
struct Service {
    broken: AtomicBool,
    asked: AtomicU32,
}

impl Service {
    fn ask(&self) -> Result<u32, &'static str> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.broken.load(Ordering::Relaxed) {
            true => Err("connection refused"),
            false => Ok(number),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(200)),
        ..Settings::default()
    };
    let guard = Guard::new("orders", settings)?;
    let service = Service::default();

    for (phase, broken) in [("well", false), ("broken", true), ("mended", false)] {
        service.broken.store(broken, Ordering::Relaxed);
        let [answered, failed, refused] = [(); 3].map(|()| AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                // A clone shares the breaker.
                let guard = guard.clone();
                let (service, answered, failed, refused) = (&service, &answered, &failed, &refused);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let counter = match guard.call(|| service.ask()) {
                            Ok(_) => answered,
                            Err(CallError::Failed(_)) => failed,
                            Err(CallError::Rejected(_)) => refused,
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(10));
                    }
                });
            }
        });
        println!(
            "{phase}: {answered:?} answered, {failed:?} failed, {refused:?} refused; {}",
            guard.breaker().explain(guard.now())
        );
    }
    Ok(())
}
