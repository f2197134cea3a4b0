//! Reading: from an application's text to a plan or diagnostics.

pub mod actions;
pub mod activities;
pub mod app;
pub mod breaker;
pub mod cors;
pub mod flow_actions;
pub mod flow_links;
pub mod flows;
pub mod handler_path;
pub mod library;
pub mod lint;
pub mod located;
pub mod lowering;
pub mod mapping;
pub mod object;
pub mod older;
pub mod outside;
pub mod properties;
pub mod reader;
pub mod refs;
pub mod rest;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod triggers;
