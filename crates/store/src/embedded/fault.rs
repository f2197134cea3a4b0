//! What can break below the operations: the engine, the disk, or our trust in them.

use crate::StoreError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why an operation inside a transaction ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The operation is refused; the transaction goes on.
    Said(StoreError),
    /// The transaction is lost, and every operation in it.
    Broke(Broke),
}

/// What broke.
#[derive(Debug)]
pub(super) enum Broke {
    Engine(Box<redb::Error>),
    Panicked(String),
}

impl From<StoreError> for Stop {
    fn from(said: StoreError) -> Self {
        Stop::Said(said)
    }
}

impl From<Broke> for Stop {
    fn from(broke: Broke) -> Self {
        Stop::Broke(broke)
    }
}

macro_rules! engine_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                Stop::Broke(Broke::Engine(Box::new(error.into())))
            }
        }
    )+};
}

engine_errors!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

/// Runs a call into the engine. It panics on some malformed pages, and that must not end a thread
/// of the caller or the writer.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    // Unwind safe: after a panic the database is dropped and opened anew, never used on.
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(Stop::Broke(Broke::Panicked(words_of(panic.as_ref())))))
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no words".to_owned())
}
