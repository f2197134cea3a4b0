//! A worker with the retry outside of the breaker: `cargo run -p fusebox-breaker --example worker`.
//!
//! Each try is a call of its own, so the breaker hears of each and a retry stops where the breaker opens. A refusal is no
//! try: the job waits until the breaker says that a call may pass, and has all its tries left.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::cell::Cell;
use std::time::Duration;

use fusebox_breaker::{CallError, Cooldown, Guard, Settings};
use tokio::time::{sleep, timeout};

const TRIES: u32 = 3;

/// A mail server that is away for its calls number 4 to 15.
#[derive(Default)]
struct Mail {
    calls: Cell<u32>,
}

impl Mail {
    async fn send(&self, job: u32) -> Result<(), String> {
        let call = self.calls.get() + 1;
        self.calls.set(call);
        sleep(Duration::from_millis(2)).await;
        match call {
            4..=15 => Err(format!("job {job}: connection reset")),
            _ => Ok(()),
        }
    }
}

/// One try: the timeout inside the breaker, so that a server that hangs is a failure.
async fn attempt(guard: &Guard, mail: &Mail, job: u32) -> Result<(), CallError<String>> {
    let bounded = async {
        match timeout(Duration::from_secs(1), mail.send(job)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("job {job}: no answer within a second")),
        }
    };
    guard.call_async(|| bounded).await
}

async fn work(guard: &Guard, mail: &Mail, job: u32) -> Result<(), String> {
    let mut tries = 0;
    loop {
        match attempt(guard, mail, job).await {
            Ok(()) => return Ok(()),
            Err(CallError::Failed(error)) => {
                tries += 1;
                if tries == TRIES {
                    return Err(error);
                }
                sleep(Duration::from_millis(10) * 2_u32.pow(tries)).await;
            }
            Err(CallError::Rejected(rejection)) => {
                // None: an operator holds it, and nobody knows until when.
                let wait = rejection
                    .wait(guard.now())
                    .unwrap_or(Duration::from_secs(60));
                println!("job {job} waits {wait:?}: {rejection}");
                sleep(wait).await;
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(300)),
        ..Settings::default()
    };
    let guard = Guard::new("mail", settings)?;
    let mail = Mail::default();
    for job in 1..=8 {
        match work(&guard, &mail, job).await {
            Ok(()) => println!("job {job} is done"),
            Err(error) => println!("job {job} is given up after {TRIES} tries: {error}"),
        }
    }
    println!(
        "{} calls in all; {}",
        mail.calls.get(),
        guard.breaker().explain(guard.now())
    );
    Ok(())
}
