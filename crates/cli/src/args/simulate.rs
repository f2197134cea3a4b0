//! Options of `simulate`: a log to replay, phases to assume, or scenarios to run.

use std::path::PathBuf;

use clap::{ArgGroup, ValueEnum};
use fusebox_sim::assume::{Assertion, Phases};
use fusebox_sim::sweep::Axis;
use fusebox_sim::trace::{FieldMap, Format};

use super::ReadingArgs;

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("source").required(true).args(["trace", "assume", "scenarios"])))]
pub struct SimulateArgs {
    /// The configuration whose breakers are replayed or tested
    #[arg(
        value_name = "CONFIG",
        required_unless_present = "scenarios",
        conflicts_with = "scenarios"
    )]
    pub config: Vec<PathBuf>,
    /// An access log to replay; may be repeated; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub trace: Vec<PathBuf>,
    /// Form of the log [default: told by its first line]
    #[arg(long, conflicts_with_all = ["assume", "scenarios"])]
    pub format: Option<FormatArg>,
    /// Names of the facts in CSV or JSON lines, as in at=.time,ms=.rt,status=.status,upstream=.svc
    #[arg(long, value_name = "FACT=.NAME,…", value_parser = FieldMap::read, conflicts_with_all = ["assume", "scenarios"])]
    pub map: Option<FieldMap>,
    /// The time in a line is the end of its request instead of the start, as nginx writes it
    #[arg(long, conflicts_with_all = ["assume", "scenarios"])]
    pub at_end: bool,
    /// Replay or test this breaker alone
    #[arg(long, value_name = "NAME", conflicts_with = "scenarios")]
    pub breaker: Option<String>,
    /// Try the values of a setting, such as consecutive_failures=3..10 or over=5s,10s,30s; repeated, all combinations
    #[arg(long, value_name = "RULE=RANGE", value_parser = Axis::read, conflicts_with_all = ["assume", "scenarios"])]
    pub sweep: Vec<Axis>,
    /// The cost of a refused good call, where a failed call that is let through costs 1
    #[arg(long, value_name = "N", value_parser = weight, default_value = "1", requires = "sweep")]
    pub cost: f64,
    /// Write a page with the timeline of calls and states, the sweep and all numbers
    #[arg(long, value_name = "OUT", conflicts_with_all = ["assume", "scenarios"])]
    pub html: Option<PathBuf>,
    /// Phases of an upstream instead of a log, joined by `;`: down, healthy, slow TIME or fail RATIO, then a duration,
    /// `at N/s`, and the time of a call
    #[arg(long, value_name = "PHASES", value_parser = Phases::read)]
    pub assume: Option<Phases>,
    /// An assertion about them, such as 'opens_after <= 5'; also opens_within, recovers_within, trips, refused_good. May be
    /// repeated; status 1 if one fails
    #[arg(long = "assert", value_name = "FACT <= VALUE", value_parser = Assertion::read, conflicts_with_all = ["trace", "scenarios"])]
    pub assertions: Vec<Assertion>,
    /// Print the report as JSON
    #[arg(long, conflicts_with = "scenarios")]
    pub json: bool,
    /// The seed of the cooldowns' jitter, of ramps and of calls that fail at random
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        conflicts_with = "scenarios"
    )]
    pub seed: u64,
    /// JSON file of scenarios, in the format of conformance/breaker.json; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub scenarios: Option<PathBuf>,
    /// Run only this scenario
    #[arg(long, value_name = "ID", requires = "scenarios")]
    pub id: Option<String>,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// A form of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Fusebox's own access log
    Fusebox,
    /// nginx: combined, also with $request_time and $upstream_response_time, or JSON
    Nginx,
    /// Envoy or Istio: the default format, or JSON
    Envoy,
    /// Comma-separated values under a line of names
    Csv,
    /// JSON objects, one a line
    Ndjson,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Fusebox => Format::Fusebox,
            FormatArg::Nginx => Format::Nginx,
            FormatArg::Envoy => Format::Envoy,
            FormatArg::Csv => Format::Csv,
            FormatArg::Ndjson => Format::Ndjson,
        }
    }
}

fn weight(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number from 0 on, such as 2".to_owned())
}
