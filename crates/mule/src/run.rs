//! Runs Mule flows: an [`Engine`] over an application and its [`World`].
//!
//! An event passes through a flow's chain. `chain` runs the processors one by one and `handlers` picks the
//! handler of an error. Each kind of processor has a file: `values` sets and logs, `scopes` has the sequential
//! scopes and routers, `parallel` the concurrent ones, `request` and `answer` the HTTP connector, `objects` the
//! Object Store connector. [`Stores`] holds the entries.
//!
//! The engine opens no socket and reads no clock: requests, queues, logs and the time come from [`World`],
//! and waits are tokio's. A flow therefore runs the same way on virtual time.
//!
//! In a gateway `router` finds the flow of a request, `listener` makes an event of the request, and `respond`
//! makes the response; `scheduler` starts the other flows. `gateway_world` has the gateway's [`World`]: `client` sends
//! requests, `queues` carries messages. `build` makes an application live, `app` presents it to the host.
//! `circuits` shows and steers the breakers that flows build by hand.

mod engine;
mod error;
mod outside;
mod stores;

mod chain;
mod handlers;
mod parallel;
mod scopes;
mod secrets;
mod validation;
mod values;

mod answer;
mod apikit;
mod objects;
mod operation;
mod policy;
mod request;
mod static_files;

mod cors;
mod listener;
mod messages;
mod redelivery;
mod respond;
mod router;

#[cfg(test)]
mod fixtures;

mod app;
mod build;
mod circuits;
mod client;
mod gateway_world;
mod queues;
mod scheduler;

pub use answer::headers_value;
pub use app::Apps;
pub use engine::Engine;
pub use error::{Ended, Failure, Message, MuleError};
pub use listener::{ConnectionInfo, attributes};
pub use outside::{Answer, Call, Line, Parcel, Pending, PublishFault, Published, SendFault, World};
pub use respond::{Reply, Responder};
pub use router::{FlowRouter, RouteMatch};
pub use stores::{EntryFault, Partition, Stores, partition_name};
