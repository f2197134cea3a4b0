//! An upgraded connection: bytes both ways until either side ends it or both fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::ground::access_log::Note;
use crate::ground::access_log::note::Flag;
use crate::ground::transport::ByteStream;
use crate::request::downstream::Downstream;
use crate::upstream::bulkhead::Place;

/// Joins two connections once the client's has switched as the upstream's has, in a task of the worker's own. The client's connection counts as open
/// until the tunnel ends, and so do its places.
pub fn open(
    downstream: Arc<Downstream>,
    client: OnUpgrade,
    upstream: Box<dyn ByteStream>,
    idle: Duration,
    places: [Option<Place>; 2],
    noted: Option<Arc<Note>>,
) {
    if let Some(note) = &noted {
        note.answered(StatusCode::SWITCHING_PROTOCOLS);
        note.flag(Flag::Upgraded);
    }
    let token = downstream.worker.task_token();
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            join(TokioIo::new(client), upstream, idle, noted.as_ref()).await;
        }
        drop((downstream, token, places, noted));
    });
}

async fn join(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: Box<dyn ByteStream>,
    idle: Duration,
    noted: Option<&Arc<Note>>,
) {
    let active = Arc::new(AtomicBool::new(false));
    let noted = |count: fn(&Note, usize)| noted.map(|note| (note.clone(), count));
    let mut client = watched(client, &active, noted(Note::came));
    let mut upstream = watched(upstream, &active, noted(Note::went));
    let silence = async {
        loop {
            tokio::time::sleep(idle).await;
            if !active.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    };
    tokio::select! {
        // However a tunnel ends, both ends see their connection close.
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
        () = silence => {}
    }
}

/// A connection whose reading half is watched.
fn watched<S: AsyncRead + AsyncWrite + Unpin>(
    connection: S,
    active: &Arc<AtomicBool>,
    noted: Option<Counting>,
) -> impl AsyncRead + AsyncWrite + Unpin {
    let (reader, writer) = tokio::io::split(connection);
    let active = active.clone();
    let reader = Watched {
        reader,
        active,
        noted,
    };
    tokio::io::join(reader, writer)
}

/// The reading half of a connection, which notes when bytes come.
struct Watched<T> {
    reader: T,
    active: Arc<AtomicBool>,
    /// The count of its bytes for the access log.
    noted: Option<Counting>,
}

/// The note of an exchange, and its count of the bytes of one direction.
type Counting = (Arc<Note>, fn(&Note, usize));

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.reader).poll_read(cx, buf);
        if result.is_ready() {
            this.active.store(true, Ordering::Relaxed);
            if let Some((note, count)) = &this.noted {
                count(note, buf.filled().len() - before);
            }
        }
        result
    }
}
