//! Interruptions of a transaction, and the guard around calls into the engine.

use crate::StoreError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An early end of an operation inside a transaction.
#[derive(Debug)]
pub(super) enum Stop {
    /// The operation is rejected; the transaction continues.
    Refused(StoreError),
    /// The transaction is lost, with every operation in it.
    Broken(EngineFailure),
}

#[derive(Debug)]
pub(super) enum EngineFailure {
    Error(Box<redb::Error>),
    Panic(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Refused(error)
    }
}

impl From<EngineFailure> for Stop {
    fn from(failure: EngineFailure) -> Self {
        Stop::Broken(failure)
    }
}

macro_rules! engine_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                Stop::Broken(EngineFailure::Error(Box::new(error.into())))
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

/// Runs a call into the engine and turns a panic into an error. The engine panics on some malformed pages, which must
/// not end the writer or a caller's thread.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    // Unwind safe: after a panic the database is dropped and reopened, never used again.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        Err(Stop::Broken(EngineFailure::Panic(message_of(
            panic.as_ref(),
        ))))
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
