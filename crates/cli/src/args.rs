//! The command line, as written: every option is also a variable `FUSEBOX_…`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};
use fusebox_plan::plan::Secret;

/// A gateway whose breakers count failures, trip, refuse fast, probe and recover.
#[derive(Debug, Parser)]
#[command(name = "fusebox", version, about, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the gateway from configuration files
    Run(RunArgs),
    /// Read and check configuration files as `run` does, and print all diagnostics
    Check(CheckArgs),
    /// Print the native form of a Flogo application, and name what it does not carry
    Convert(CheckArgs),
    /// Evaluate one expression and print its value as JSON
    Eval(EvalArgs),
    /// Show and steer the breakers of a running gateway
    Breakers(BreakersArgs),
    /// Watch a breaker at work: a gateway, a flaky service and some traffic in one process
    Demo(DemoArgs),
    /// Run breaker scenarios on virtual time
    Simulate(SimulateArgs),
    /// Print the JSON Schema of the native configuration
    Schema,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
    /// The dashboard in a terminal (not supported yet)
    #[command(hide = true)]
    Top,
    /// Print the OpenAPI description of the admin API (not supported yet)
    #[command(hide = true)]
    Openapi,
}

/// Options of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Configuration files
    #[arg(
        required = true,
        value_name = "FILE",
        env = "FUSEBOX_FILES",
        value_delimiter = ':'
    )]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Where the embedded store keeps its data
    #[arg(long, value_name = "DIR", env = "FUSEBOX_DATA")]
    pub data: Option<PathBuf>,
    /// Where state is kept: memory:, embedded:PATH, or on a Valkey or Redis server, redis://HOST:PORT
    // It may hold a password, which the help would show.
    #[arg(
        long,
        value_name = "URL",
        env = "FUSEBOX_STORE",
        hide_env_values = true
    )]
    pub store: Option<StoreUrl>,
    /// Where the admin API listens, or `off` [default: 127.0.0.1:9900, or what the file says]
    #[arg(long, value_name = "ADDR|off", env = "FUSEBOX_ADMIN")]
    pub admin: Option<AdminAddr>,
    /// How the log is written; with json every line of standard error is JSON, from the first
    /// [default: pretty on a terminal, else json once the gateway runs]
    #[arg(long, env = "FUSEBOX_LOG")]
    pub log: Option<LogForm>,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "N", env = "FUSEBOX_WORKERS")]
    pub workers: Option<std::num::NonZeroUsize>,
}

/// Options of everything that reads configuration files.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadingArgs {
    /// Set a property: `${KEY}` in a file, or a Flogo application's property KEY, is VALUE; may be repeated [env: FUSEBOX_SET=KEY=VALUE,…]
    // The variable is read with the files: clap would split what is written here at commas, too.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub properties: Vec<Property>,
    /// Give a name that a Mule application leaves open, such as its `config-ref`, an address; may be
    /// repeated
    #[arg(
        long,
        value_name = "NAME=URL",
        env = "FUSEBOX_BIND",
        value_delimiter = ','
    )]
    pub bind: Vec<Property>,
    /// How a Mule application is understood
    #[arg(long, env = "FUSEBOX_COMPAT", default_value = "intent")]
    pub compat: CompatArg,
}

/// How a Mule application is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompatArg {
    /// As its author evidently meant it; a warning for each use that Mule would not run
    Intent,
    /// As Mule 4.4 runs it
    Strict,
}

/// Options of `check` and `convert`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Configuration files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Options of `eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// Whose expressions
    #[arg(long, default_value = "native")]
    pub dialect: Dialect,
    /// A JSON file whose members are the variables; `-` is standard input
    #[arg(long, value_name = "SCOPE.json")]
    pub scope: Option<PathBuf>,
    /// The expression
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    pub expression: String,
}

/// Whose expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// CEL
    Native,
    #[cfg(feature = "flogo")]
    /// Flogo's mappings; in the scope, {"$params": {…}}, {"$int": 1}, {"$number": "1"}, {"$error": "…"}
    /// and {"$neterror": "URL"} stand for what JSON cannot say
    Flogo,
    #[cfg(feature = "mule")]
    /// DataWeave over an event, with `#[ ]` or without; the scope has payload, attributes, vars, error,
    /// properties and now, and {"$headers": {…}}, {"$number": "1.50"} and
    /// {"$typed": {"value": "…", "mediaType": "…"}} stand for what JSON cannot say
    Mule,
}

/// Options of `breakers`.
#[derive(Debug, clap::Args)]
pub struct BreakersArgs {
    /// What to do; `ls` by default
    #[command(subcommand)]
    pub action: Option<BreakersAction>,
    #[command(flatten)]
    pub to: AdminArgs,
}

/// What to do with breakers.
#[derive(Debug, Subcommand)]
pub enum BreakersAction {
    /// List all breakers
    Ls,
    /// Show one breaker in full
    Show(NameArgs),
    /// Hold a breaker open: it refuses every call until it is released or `--for` is over
    Open(OrderArgs),
    /// Hold a breaker closed: it lets every call pass until it is released or `--for` is over
    Close(OrderArgs),
    /// Begin anew: closed, nothing counted, no hold
    Reset(OrderArgs),
    /// End a hold
    Release(OrderArgs),
}

/// Which breaker.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// The breaker's name
    pub name: String,
}

/// A command to a breaker.
#[derive(Debug, clap::Args)]
pub struct OrderArgs {
    /// The breaker's name
    pub name: String,
    /// How long a hold lasts, such as 10m [default: until it is released]
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,
    /// Why; everybody who looks at the breaker sees it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Steer the breaker of the whole fleet, not of this gateway alone
    #[arg(long)]
    pub fleet: bool,
}

/// Which gateway.
#[derive(Debug, clap::Args)]
pub struct AdminArgs {
    /// Print the API's JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The gateway's admin address
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FUSEBOX_ADMIN_URL",
        default_value = "http://127.0.0.1:9900"
    )]
    pub admin: String,
    /// A file that holds the admin token
    #[arg(long, global = true, value_name = "FILE", env = "FUSEBOX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End when everything has been seen: exit 0 only if it was
    #[arg(long)]
    pub once: bool,
    /// Where the admin API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900")]
    pub admin: SocketAddr,
}

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// A configuration for `--trace` (not supported yet)
    #[arg(value_name = "CONFIG", hide = true)]
    pub config: Vec<PathBuf>,
    /// A JSON file of scenarios, in the form of conformance/breaker.json; `-` is standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["config", "trace"]
    )]
    pub scenarios: Option<PathBuf>,
    /// Run this scenario only
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// A trace or an access log to replay (not supported yet)
    #[arg(long, value_name = "FILE", hide = true)]
    pub trace: Option<PathBuf>,
}

/// Where the admin API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAddr {
    /// Nowhere.
    Off,
    /// On an address.
    At(SocketAddr),
}

impl FromStr for AdminAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<AdminAddr, String> {
        if text == "off" {
            return Ok(AdminAddr::Off);
        }
        text.parse()
            .map(AdminAddr::At)
            .map_err(|_| "write an address such as 127.0.0.1:9900, or off".into())
    }
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`
    Memory,
    /// `embedded:PATH`; without a path, where `--data` says.
    Embedded(Option<PathBuf>),
    /// `redis://…`, `rediss://…` and the like.
    Valkey(Secret),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreUrl, String> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(StoreUrl::Memory),
            Some(("embedded", path)) => {
                Ok(StoreUrl::Embedded((!path.is_empty()).then(|| path.into())))
            }
            Some((scheme, rest)) if rest.starts_with("//") && names_a_server(scheme) => {
                // What is wrong with it is said when it is opened: here the whole text would be shown, password and all.
                Ok(StoreUrl::Valkey(Secret::new(text)))
            }
            _ => Err("write memory:, embedded:PATH or redis://HOST:PORT".into()),
        }
    }
}

/// Whether a URL of this scheme may name a Valkey or Redis server.
fn names_a_server(scheme: &str) -> bool {
    let known = ["redis", "rediss", "valkey", "valkeys", "unix"];
    known.contains(&scheme.split('+').next().unwrap_or_default())
}

/// Whether a command line that cannot be parsed runs the gateway and asks for a log in JSON: it is answered in JSON then.
pub fn ask_for_json_log(args: impl Iterator<Item = OsString>) -> bool {
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

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One JSON object a line
    Json,
    /// For people
    Pretty,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// What stands before the first `=`.
    pub name: String,
    /// What stands behind it.
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
            _ => Err("write it as NAME=VALUE".into()),
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
        let asks = |line: &str| ask_for_json_log(line.split(' ').map(OsString::from));
        assert!(asks("fusebox run --log json --bogus"));
        assert!(asks("fusebox run --bogus --log=json"));
        assert!(!asks("fusebox run --bogus --log pretty"));
        assert!(!asks("fusebox check --log json"));
    }
}
