//! Settings, saved breakers and reports as data, behind the feature `serde`.
//!
//! The forms are those of the gateway's configuration, so that settings can be moved between the two: durations are text
//! such as `30s`, ratios `50%`, the words those of `as_str`. Everything is read by maps and words alone, which JSON, YAML
//! and TOML all have.

mod cooldown;
mod half_open;
mod report;
mod saved;
mod text;
pub(crate) mod trip;
mod word;

pub(crate) use report::{optional_duration, text_of};
