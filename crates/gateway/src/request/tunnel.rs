//! An upgraded connection: bytes both ways until either side ends it or both fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    let mut client = Watched {
        inner: TokioIo::new(client),
        active: active.clone(),
    };
    let mut upstream = Watched {
        inner: TokioIo::new(upstream),
        active: active.clone(),
    };
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

/// A connection that notes when bytes come.
struct Watched<T> {
    inner: T,
    active: Arc<AtomicBool>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_read(cx, buf);
        if result.is_ready() {
            this.active.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
