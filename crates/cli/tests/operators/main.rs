//! The program in the hands of operators: its verbs, admin API, events, reloads, restarts and fleets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod admin_api;
mod admin_hostile;
mod admin_sockets;
mod clients;
mod demo;
mod events;
mod first_run;
mod fleet;
mod rates;
mod readme;
mod reload;
mod restart;
mod service;
mod simulate;
mod steering;
mod top;
mod verbs;
