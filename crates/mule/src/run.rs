//! Runs Mule's flows: an [`Engine`] over an application, with what is [`Outside`] it.
//!
//! An event goes through a flow's chain. `chain` runs the processors one by one, `handlers` decides
//! what becomes of an error, and each kind of processor has a file: `values` sets and logs, `scopes`
//! has the sequential ones with others within them, `parallel` those that run beside one another,
//! `request` and `answer` speak HTTP, `objects` the Object Store connector. [`Stores`] is where entries are kept.
//!
//! None of that opens a socket or reads a clock: requests, queues, logs and the time are [`Outside`],
//! waits are tokio's. So a flow runs the same on virtual time.
//!
//! In a gateway a request finds its flow in `router`, `listener` makes an event of it and `respond` the
//! answer; `scheduler` starts the other flows. What is outside is `world` then: `client` sends requests,
//! `queues` carries messages. `build` makes an application live, `app` shows it to the host.
//! `circuits` reads and steers the breakers that flows build by hand.

mod engine;
mod error;
mod outside;
mod stores;

mod chain;
mod handlers;
mod parallel;
mod scopes;
mod values;

mod answer;
mod objects;
mod request;

mod listener;
mod respond;
mod router;

mod app;
mod build;
mod circuits;
mod client;
mod queues;
mod scheduler;
mod world;

pub use answer::headers_value;
pub use app::Apps;
pub use engine::Engine;
pub use error::{Ended, Failure, Message, MuleError};
pub use listener::{Ends, attributes};
pub use outside::{Answer, Call, Line, Outside, Pending, PublishFault, SendFault};
pub use respond::{Reply, Responder};
pub use router::{FlowRouter, Found};
pub use stores::{Shelf, ShelfFault, Stores, partition};
