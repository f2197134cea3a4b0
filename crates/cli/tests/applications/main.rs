//! Files of Mule and Flogo, run by the program.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod converted;
mod flogo_activities;
mod flogo_examples;
mod flogo_files;
mod flogo_flows;
mod flogo_gates;
mod flogo_load;
mod flogo_tls;
mod mule_admin;
mod mule_circuit;
mod mule_files;
mod mule_flows;
mod mule_http;
mod mule_policy;
mod mule_tls;
