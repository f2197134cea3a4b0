//! The log: to standard error, for people or for programs.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::args::LogForm;

/// Starts the log; `RUST_LOG` chooses what is in it, else everything from `info` on.
pub fn start(form: Option<LogForm>) {
    let terminal = std::io::stderr().is_terminal();
    let form = form.unwrap_or(if terminal {
        LogForm::Pretty
    } else {
        LogForm::Json
    });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match form {
        LogForm::Json => builder.json().flatten_event(true).init(),
        LogForm::Pretty => builder.with_ansi(terminal).compact().init(),
    }
}
