//! `fusebox top`: the dashboard in a terminal.
//!
//! The parts: [`app`] is the state with its transitions and knows no terminal and no socket; [`draw`] turns a state into
//! cells; [`link`] speaks with the gateway, [`screen`] with the terminal. Looking changes nothing: only `GET` requests
//! are sent, until the operator has said yes to a command.

mod app;
mod backend;
mod canvas;
mod columns;
mod draw;
mod input;
mod keys;
mod link;
mod model;
mod news;
mod pane;
mod plain;
mod prompt;
mod row;
mod screen;
mod sse;
#[cfg(test)]
mod tests;
mod theme;
mod verdict;
mod words;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::admin_client::AdminClient;
use crate::args::top::TopArgs;
use crate::top::app::{App, update};
use crate::top::input::{Effect, Input};
use crate::top::model::{Model, Snapshot};
use crate::top::screen::Screen;
use crate::top::theme::Theme;

/// The time between two drawings when nothing happens, for countdowns.
const TICK: Duration = Duration::from_millis(500);

/// Runs the dashboard, or prints it once.
pub async fn top(args: TopArgs) -> anyhow::Result<ExitCode> {
    let client = AdminClient::new(&args.to)?;
    if args.to.json {
        return print_json(&client).await;
    }
    // A wrong address or token is said on the screen that stays.
    let snapshot = link::read_state(&client).await?;
    if args.once || !can_draw() {
        let model = Model::new(snapshot, Duration::ZERO);
        return crate::print(&plain::table(&model));
    }
    run(Arc::new(client), snapshot).await
}

/// Prints each breaker as the API has it, one a line.
async fn print_json(client: &AdminClient) -> anyhow::Result<ExitCode> {
    let state = client.get("/api/v1/state").await?;
    let rows = state["breakers"].as_array().into_iter().flatten();
    let lines: String = rows.map(|row| format!("{row}\n")).collect();
    crate::print(&lines)
}

/// True if standard output is a terminal that can be drawn on.
fn can_draw() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_dumb
}

async fn run(client: Arc<AdminClient>, snapshot: Snapshot) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let (inputs, mut received) = unbounded_channel();
    // Before the terminal is taken, so that no signal finds it taken and unguarded.
    let mut signals = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ];
    let [terminate, interrupt, hangup] = &mut signals;
    let mut screen = Screen::enter(Theme::of_environment())
        .context("this terminal cannot be drawn on; `fusebox top --once` prints a table")?;
    screen::read_keys(inputs.clone())?;
    let events = link::follow(client.clone(), snapshot.event_id.clone(), inputs.clone());
    tokio::spawn(events);
    let mut app = App::new(snapshot);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let input = tokio::select! {
            input = received.recv() => input.context("the program has no inputs left")?,
            _ = ticks.tick() => Input::Tick,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => break,
        };
        let mut effects = update(&mut app, began.elapsed(), input);
        // A burst of inputs is drawn once.
        while let Ok(input) = received.try_recv() {
            effects.extend(update(&mut app, began.elapsed(), input));
        }
        for effect in effects {
            if effect == Effect::Quit {
                return Ok(ExitCode::SUCCESS);
            }
            link::begin(&client, effect, &inputs);
        }
        screen.draw(&app).context("drawing failed")?;
    }
    Ok(ExitCode::SUCCESS)
}
