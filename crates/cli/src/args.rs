//! The command line as written. Most options can also be set by a variable `FUSEBOX_…`.

pub mod admin_addr;
pub mod first;
mod help;
pub mod simulate;
mod store_url;
#[cfg(feature = "top")]
pub mod top;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::args::admin_addr::AdminAddrs;
use crate::args::first::{HealthcheckArgs, InitArgs};
use crate::args::simulate::SimulateArgs;
use clap::{Parser, Subcommand, ValueEnum};
use fusebox_plan::access_log::{AccessLog, LogTarget};
use fusebox_plan::plan::Plan;

pub use store_url::StoreUrl;

/// A gateway whose breakers count failures, trip, refuse fast, probe and recover.
#[derive(Debug, Parser)]
#[command(
    name = "fusebox",
    version,
    about,
    arg_required_else_help = true,
    after_help = help::FUSEBOX
)]
pub struct Args {
    /// The command to run.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the gateway
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Write a first configuration, fusebox.yaml, with a comment on each choice
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    /// Find all mistakes in configuration files, each with its line and a remedy
    #[command(after_help = help::CHECK)]
    Check(CheckArgs),
    /// Print the native form of a Flogo or Mule application, and list what it does not cover
    #[command(after_help = help::CONVERT)]
    Convert(ConvertArgs),
    /// Evaluate one expression and print its value as JSON
    #[command(after_help = help::EVAL)]
    Eval(EvalArgs),
    /// See the breakers of a running gateway; hold, release or reset one
    #[command(after_help = help::BREAKERS)]
    Breakers(BreakersArgs),
    /// Watch and control the breakers of a running gateway in a terminal
    #[cfg(feature = "top")]
    Top(top::TopArgs),
    /// Ask a running gateway whether it takes requests: status 0 or 1
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck(HealthcheckArgs),
    /// Watch a breaker at work: a gateway, a flaky service and some traffic in one process
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
    /// Replay a log against the breakers of a configuration, try thresholds, test them
    #[command(after_help = help::SIMULATE)]
    Simulate(SimulateArgs),
    /// Print the JSON Schema of the native configuration
    #[command(after_help = help::SCHEMA)]
    Schema,
    /// Write the manual pages into a directory
    #[command(after_help = help::MAN)]
    Man {
        /// The directory, made if it is missing
        dir: PathBuf,
    },
    /// Print completions for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
    /// Print the OpenAPI description of the admin API
    #[command(after_help = help::OPENAPI)]
    Openapi,
}

/// Options of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Configuration files, or the folder of a Mule project [default: ./fusebox.yaml, then /etc/fusebox/fusebox.yaml]
    #[arg(value_name = "FILE", env = "FUSEBOX_FILES", value_delimiter = ':')]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Directory of the embedded store
    #[arg(long, value_name = "DIR", env = "FUSEBOX_DATA")]
    pub data: Option<PathBuf>,
    /// State store: memory:, embedded:PATH, or a Valkey or Redis server, redis://HOST:PORT
    // The value may contain a password, which the help would show.
    #[arg(
        long,
        value_name = "URL",
        env = "FUSEBOX_STORE",
        hide_env_values = true
    )]
    pub store: Option<StoreUrl>,
    /// Addresses of the admin API, separated by commas, or `off` [default: 127.0.0.1:9900, or the address in the file].
    /// A Unix socket needs no token: its file has the mode 0660
    #[arg(long, value_name = "ADDR|unix:PATH|off", env = "FUSEBOX_ADMIN")]
    pub admin: Option<AdminAddrs>,
    /// Form of the log; with json every line of standard error is JSON, from the first
    /// [default: pretty on a terminal, otherwise json once the gateway runs]
    #[arg(long, env = "FUSEBOX_LOG")]
    pub log: Option<LogForm>,
    /// Place of the access log's lines: stdout, stderr or a file, or `off` [default: as the file says, or off]
    #[arg(
        long,
        value_name = "stdout|stderr|FILE|off",
        env = "FUSEBOX_ACCESS_LOG"
    )]
    pub access_log: Option<AccessLogTo>,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "N", env = "FUSEBOX_WORKERS")]
    pub workers: Option<std::num::NonZeroUsize>,
}

impl RunArgs {
    /// A plan with what the options say otherwise.
    pub fn applied_to(&self, mut plan: Plan) -> Plan {
        if let Some(AccessLogTo(to)) = &self.access_log {
            plan.access_log = to.clone().map(|to| match plan.access_log.take() {
                Some(log) => AccessLog { to, ..log },
                None => AccessLog::to(to),
            });
        }
        plan
    }
}

/// Options of every command that reads configuration files.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadingArgs {
    /// Set a property: `${KEY}` in a file, or a Flogo application's property KEY, is VALUE; may be repeated [env: FUSEBOX_SET=KEY=VALUE,…]
    // The variable is read along with the files, because clap would split the option at commas, too.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub properties: Vec<Property>,
    /// Set the address of a name that a Mule application leaves open, such as its `config-ref`; may be
    /// repeated
    #[arg(
        long,
        value_name = "NAME=URL",
        env = "FUSEBOX_BIND",
        value_delimiter = ','
    )]
    pub bind: Vec<Property>,
    /// Interpretation of a Mule application
    #[arg(long, env = "FUSEBOX_COMPAT", default_value = "intent")]
    pub compat: CompatArg,
}

/// The interpretation of a Mule application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompatArg {
    /// As its author evidently meant it, with a warning for each use that Mule would not run
    Intent,
    /// As Mule 4.4 runs it
    Strict,
}

/// Options of `convert`.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// The files of one application, or the folder of a Mule project
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Convert also where a guard is lost, such as the check of a token; each is then a warning
    #[arg(long)]
    pub lossy: bool,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration files, or the folder of a Mule project
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print JSON: the diagnostics, the schedules, and what runs and what blocks, by construct and count
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Options of `eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// Expression language
    #[arg(long, default_value = "native")]
    pub dialect: Dialect,
    /// JSON file with an object of variables; `-` is standard input
    #[arg(long, value_name = "SCOPE.json")]
    pub scope: Option<PathBuf>,
    /// The expression
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    pub expression: String,
}

/// An expression language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// CEL
    Native,
    #[cfg(feature = "flogo")]
    /// Flogo's mappings; in the scope, {"$params": {…}}, {"$int": 1}, {"$number": "1"}, {"$error": "…"}
    /// and {"$neterror": "URL"} represent values that JSON cannot express
    Flogo,
    #[cfg(feature = "mule")]
    /// DataWeave over an event, with or without `#[ ]`; the scope has payload, attributes, vars, error,
    /// properties and now, and {"$headers": {…}}, {"$number": "1.50"} and
    /// {"$typed": {"value": "…", "mediaType": "…"}} represent values that JSON cannot express
    Mule,
}

/// Options of `breakers`.
#[derive(Debug, clap::Args)]
pub struct BreakersArgs {
    /// Action on the breakers; default: ls
    #[command(subcommand)]
    pub action: Option<BreakersAction>,
    #[command(flatten)]
    pub to: AdminArgs,
}

/// An action on the breakers.
#[derive(Debug, Subcommand)]
pub enum BreakersAction {
    /// List all breakers
    Ls,
    /// Show one breaker in full
    Show(NameArgs),
    /// Hold a breaker open: it rejects every call until it is released or `--for` has passed
    Open(OrderArgs),
    /// Hold a breaker closed: it admits every call until it is released or `--for` has passed
    Close(OrderArgs),
    /// Reset a breaker: closed, with all counts cleared and no hold
    Reset(OrderArgs),
    /// End a hold
    Release(OrderArgs),
}

/// The name of a breaker.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// The breaker's name
    pub name: String,
}

/// An operator's command to a breaker.
#[derive(Debug, clap::Args)]
pub struct OrderArgs {
    /// The breaker's name
    pub name: String,
    /// Length of the hold, such as 10m [default: until it is released]
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,
    /// Reason, shown to everybody who views the breaker
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Control the breaker of the whole fleet instead of this gateway's only
    #[arg(long)]
    pub fleet: bool,
}

/// Options for reaching the admin API of a gateway.
#[derive(Debug, clap::Args)]
pub struct AdminArgs {
    /// Print the JSON of the API
    #[arg(long, global = true)]
    pub json: bool,
    /// The gateway's admin address, or unix:PATH
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FUSEBOX_ADMIN_URL",
        default_value = "http://127.0.0.1:9900"
    )]
    pub admin: String,
    /// File with the admin token
    #[arg(long, global = true, value_name = "FILE", env = "FUSEBOX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Exit once trip, fast refusal, fallback answer, probe and recovery have been seen; status 0 only if all were
    #[arg(long)]
    pub once: bool,
    /// Address of the dashboard and the admin API
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900")]
    pub admin: SocketAddr,
}

/// True if an invalid command line is one of `run` with a JSON log; then the error must be JSON, too.
pub fn wants_json_log(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<_> = args.collect();
    let runs = args.get(1).is_some_and(|verb| verb == "run");
    let asked = args.iter().any(|arg| arg == "--log=json")
        || args
            .windows(2)
            .any(|pair| pair[0] == "--log" && pair[1] == "json");
    let named = args
        .iter()
        .any(|arg| arg.to_string_lossy().starts_with("--log"));
    let variable = || std::env::var_os("FUSEBOX_LOG").is_some_and(|form| form == "json");
    runs && (asked || !named && variable())
}

/// The place of the access log's lines; `None`: the log is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogTo(pub Option<LogTarget>);

impl FromStr for AccessLogTo {
    type Err = String;

    fn from_str(text: &str) -> Result<AccessLogTo, String> {
        match text {
            "" => Err("expected stdout, stderr, off or a file".to_owned()),
            text => Ok(AccessLogTo(LogTarget::read(text))),
        }
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One JSON object per line
    Json,
    /// Readable text
    Pretty,
}

/// A name with a value, from `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The part before the first `=`.
    pub name: String,
    /// The part after it.
    pub value: String,
}

impl FromStr for Property {
    type Err = String;

    fn from_str(text: &str) -> Result<Property, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Property {
                name: name.into(),
                value: value.into(),
            }),
            _ => Err("expected NAME=VALUE".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_is_answered_in_json_where_it_asks_for_that() {
        let asks = |line: &str| wants_json_log(line.split(' ').map(OsString::from));
        assert!(asks("fusebox run --log json --bogus"));
        assert!(asks("fusebox run --bogus --log=json"));
        assert!(!asks("fusebox run --bogus --log pretty"));
        assert!(!asks("fusebox check --log json"));
    }
}
