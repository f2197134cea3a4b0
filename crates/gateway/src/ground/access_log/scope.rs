//! The note of the request that an application works for: its own calls find it here.

use std::future::Future;
use std::sync::Arc;

use crate::ground::access_log::Note;

tokio::task_local! {
    static NOTE: Arc<Note>;
}

/// Runs an application's work for a request.
pub async fn within<T>(note: Option<Arc<Note>>, work: impl Future<Output = T>) -> T {
    match note {
        Some(note) => NOTE.scope(note, work).await,
        None => work.await,
    }
}

/// The note of the request that the present task works for, if the access log is on. Work that the application has
/// moved to another task has none.
pub fn present() -> Option<Arc<Note>> {
    NOTE.try_with(Arc::clone).ok()
}
