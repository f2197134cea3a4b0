//! TLS, HTTP/2 and gRPC, on both sides, with real clients and servers of each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod flogo_grpc;
mod grpc;
mod grpc_peers;
mod h2_abuse;
mod h2_alpn;
mod h2_client;
mod h2_ends;
mod h2_peer;
mod h2_server;
mod h2_uploads;
mod tls;
