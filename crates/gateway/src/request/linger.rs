//! The end of a connection whose client may still be sending.
//!
//! A socket that is closed with bytes unread resets its peer, and the peer may lose the answer that it has not read
//! yet. So we close our side only, and read on until the client has done so too (RFC 9112, section 9.6): bounded in
//! time, in memory and in the number of connections, not in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;

use crate::ground::closing::Closing;

/// Limit on the time for which a client may continue to send after its last answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Limit on a client's silence in that time.
const SILENCE: Duration = Duration::from_secs(5);

/// Limit on that time in a drain, and for connections over the limit.
pub const BRIEF: Duration = Duration::from_secs(2);

/// Limit on the lingering connections of one worker; with one more the oldest is closed.
const LINGERING_MAX: usize = 256;

/// Size in bytes of the buffer for bytes to discard.
const SCRAP: usize = 8 * 1024;

#[derive(Debug, Default)]
pub struct LingeringConnections(Arc<Mutex<Lingering>>);

#[derive(Debug, Default)]
struct Lingering {
    next: u64,
    all: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// The slot of one connection among the lingering ones, freed when dropped.
struct LingerSlot {
    number: u64,
    lingering: Arc<Mutex<Lingering>>,
    /// Resolves when a newer connection needs the slot.
    evicted: oneshot::Receiver<()>,
}

impl LingeringConnections {
    fn enter(&self) -> LingerSlot {
        let (sender, evicted) = oneshot::channel();
        let mut lingering = self.0.lock();
        let number = lingering.next;
        lingering.next += 1;
        if lingering.all.len() >= LINGERING_MAX {
            lingering.all.pop_front();
        }
        lingering.all.push_back((number, sender));
        LingerSlot {
            number,
            lingering: self.0.clone(),
            evicted,
        }
    }

    /// Closes our side of a connection and reads on until the client has closed its own, its time is over, or the
    /// listener has closed.
    pub async fn linger(&self, stream: impl AsyncRead + AsyncWrite + Unpin, closing: &Closing) {
        let mut slot = self.enter();
        tokio::select! {
            () = drain(stream, PATIENCE) => {}
            _ = &mut slot.evicted => {}
            () = async {
                closing.wait().await;
                tokio::time::sleep(BRIEF).await;
            } => {}
        }
    }
}

impl Drop for LingerSlot {
    fn drop(&mut self) {
        let mut lingering = self.lingering.lock();
        lingering.all.retain(|(number, _)| *number != self.number);
    }
}

/// Closes our side and reads on for `patience` at most, so that the last answer is not lost to a reset.
pub async fn drain(mut stream: impl AsyncRead + AsyncWrite + Unpin, patience: Duration) {
    let drain = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut scrap = vec![0; SCRAP];
        loop {
            match tokio::time::timeout(SILENCE, stream.read(&mut scrap)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return,
            }
        }
    };
    // After that time the rest of the client's bytes may reset the connection.
    tokio::time::timeout(patience, drain).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_may_send_as_much_as_it_likes_for_a_while() {
        let (mut client, ours) = tokio::io::duplex(1024);
        let start = tokio::time::Instant::now();
        let linger = tokio::spawn(drain(ours, PATIENCE));
        let mut sent = 0;
        while client.write_all(&[0; 4096]).await.is_ok() {
            sent += 4096;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        linger.await.unwrap();
        assert!(sent > 4 << 20, "{sent}");
        assert!(start.elapsed() < PATIENCE + SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_left_soon() {
        let (_client, ours) = tokio::io::duplex(1024);
        let start = tokio::time::Instant::now();
        drain(ours, PATIENCE).await;
        assert_eq!(start.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_goes_first_and_a_drain_waits_for_none() {
        let lingering = Arc::new(LingeringConnections::default());
        let closing = Arc::new(Closing::default());
        let mut clients = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..=LINGERING_MAX {
            let (client, ours) = tokio::io::duplex(1024);
            clients.push(client);
            let (lingering, closing) = (lingering.clone(), closing.clone());
            tasks.push(tokio::spawn(async move {
                lingering.linger(ours, &closing).await
            }));
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        assert!(tasks[0].is_finished() && !tasks[1].is_finished());
        closing.begin();
        let start = tokio::time::Instant::now();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(start.elapsed() <= BRIEF);
    }
}
