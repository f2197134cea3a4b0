//! The program `fusebox`: parses the arguments, reads the files, wires the crates together and runs.
//!
//! Exit codes: 0 ended well, 1 could not run, 2 wrong usage.

mod admin_client;
mod args;
mod banner;
mod bounded;
mod breakers;
mod check;
mod convert;
mod demo;
mod descriptors;
mod dialects;
mod eval;
mod fetch;
mod files;
mod first_file;
mod healthcheck;
mod init;
mod log;
mod man;
mod printable;
mod project;
mod reload;
mod run;
mod simulate;
mod state;
#[cfg(feature = "top")]
mod top;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use crate::args::{Args, Verb};

/// The allocator of packages, which gives memory back after a burst of connections.
#[cfg(fusebox_jemalloc)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return wrong_usage(&error),
    };
    match perform(args) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fusebox: {}", printable::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn perform(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Run(mut args) => {
            if args.files.is_empty() {
                match first_file::find() {
                    Some(file) => args.files.push(file),
                    None => return Ok(wrong_usage(&no_file())),
                }
            }
            run::run(&args)
        }
        Verb::Init(args) => init::init(&args),
        Verb::Check(args) => check::check(&args),
        Verb::Convert(args) => convert::convert(&args),
        Verb::Eval(args) => eval::eval(&args),
        Verb::Breakers(args) => control(breakers::breakers(args)),
        #[cfg(feature = "top")]
        Verb::Top(args) => control(top::top(args)),
        Verb::Healthcheck(args) => control(healthcheck::healthcheck(args)),
        Verb::Demo(args) => control(demo::demo(args)),
        Verb::Simulate(args) => simulate::simulate(&args),
        Verb::Schema => print(&format!("{:#}\n", fusebox_plan::schema())),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "fusebox", &mut text);
            print(&String::from_utf8(text).context("completions are text")?)
        }
        Verb::Man { dir } => man::man(Args::command(), &dir),
        Verb::Version => print(&format!("fusebox {}\n", env!("CARGO_PKG_VERSION"))),
        Verb::Openapi => print(&format!("{:#}\n", fusebox_admin::openapi())),
    }
}

/// Reports a wrong command line, as JSON where it asks for a JSON log. Help and version are no errors.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !args::wants_json_log(std::env::args_os()) {
        error.exit();
    }
    log::usage_as_json(&error.render().to_string()).ok();
    ExitCode::from(2)
}

/// The error of a `run` that has no file.
fn no_file() -> clap::Error {
    let mut command = Args::command();
    command.build();
    let run = command.find_subcommand_mut("run");
    let kind = clap::error::ErrorKind::MissingRequiredArgument;
    run.expect("`run` is a command")
        .error(kind, first_file::ADVICE)
}

/// Runs a future on the control thread; the data path has its own threads.
fn control(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// Prints to standard output. A closed pipe is not an error for the caller.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
