//! The behaviour of an upstream's endpoints: ejection and return, health, balance, reload, and the laws of all of them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod balance;
mod ejection;
mod health;
mod kit;
mod laws;
mod reload;
mod threads;
mod views;
