//! An upgraded connection: bytes both ways until either side ends it or both fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};

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
) {
    let token = downstream.worker.task_token();
    tokio::spawn(async move {
        if let Ok((client, upstream)) = tokio::try_join!(client, upstream) {
            join(client, upstream, idle).await;
        }
        drop((downstream, token, places));
    });
}

async fn join(client: Upgraded, upstream: Upgraded, idle: Duration) {
    let active = Arc::new(AtomicBool::new(false));
    let watched = |connection| {
        let (reader, writer) = tokio::io::split(TokioIo::new(connection));
        let active = active.clone();
        tokio::io::join(Watched { reader, active }, writer)
    };
    let (mut client, mut upstream) = (watched(client), watched(upstream));
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
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.reader).poll_read(cx, buf);
        if result.is_ready() {
            this.active.store(true, Ordering::Relaxed);
        }
        result
    }
}
