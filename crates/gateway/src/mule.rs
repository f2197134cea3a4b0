//! Runs Mule's flows: an [`Engine`] over an application, with what is [`Outside`] it.
//!
//! An event goes through a flow's chain. `chain` runs the processors one by one, `handlers` decides
//! what becomes of an error, and each kind of processor has a file: `values` sets and logs, `scopes`
//! has the sequential ones with others within them, `parallel` those that run beside one another,
//! `request` speaks HTTP, `objects` the Object Store connector. [`Stores`] is where entries are kept.
//!
//! Nothing here opens a socket or reads a clock: requests, queues, logs and the time are [`Outside`],
//! waits are tokio's. So a flow runs the same on virtual time.

mod error;
mod outside;

pub use error::{Ended, Failure, Message, MuleError};
pub use outside::{Answer, Call, Line, Outside, Pending, PublishFault, SendFault};
