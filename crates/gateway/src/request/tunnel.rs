//! An upgraded connection: bytes both ways until either side ends it or both fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};

use crate::ground::access_log::Note;
use crate::ground::access_log::note::Flag;
use crate::request::downstream::Downstream;
use crate::upstream::bulkhead::Place;

/// Joins two connections once both have switched, in a task of the worker's own. The client's connection counts as open
/// until the tunnel ends, and so do its places.
pub fn open(
    downstream: Arc<Downstream>,
    client: OnUpgrade,
    upstream: OnUpgrade,
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
        if let Ok((client, upstream)) = tokio::try_join!(client, upstream) {
            join(client, upstream, idle, noted.as_ref()).await;
        }
        drop((downstream, token, places, noted));
    });
}

async fn join(client: Upgraded, upstream: Upgraded, idle: Duration, noted: Option<&Arc<Note>>) {
    let active = Arc::new(AtomicBool::new(false));
    let watched = |connection, count: fn(&Note, usize)| {
        let (reader, writer) = tokio::io::split(TokioIo::new(connection));
        let active = active.clone();
        let noted = noted.map(|note| (note.clone(), count));
        let reader = Watched {
            reader,
            active,
            noted,
        };
        tokio::io::join(reader, writer)
    };
    let (mut client, mut upstream) = (watched(client, Note::came), watched(upstream, Note::went));
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
