//! The TLS handshake of a client's connection: bounded in time, with an answer to clients that speak plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::downstream::connection::{FAREWELL, LAST_CALL};
use crate::downstream::refusal;
use crate::ground::closing::Closing;
use crate::ground::listen::ListenerKey;
use crate::ground::transport::Transport;
use crate::live::shared::Shared;
use crate::request::worker::Worker;

/// The longest time of a handshake, first byte included, whatever the limits allow.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Takes a connection over into TLS if its listener has a certificate; `None`: it ended within the handshake.
///
/// All of it has the time of `limits.first_byte`, at most [`HANDSHAKE_MAX`], and that of a request's head from the first
/// byte on. A client that speaks plain HTTP gets an answer that says so.
pub async fn secured(
    shared: &Shared,
    worker: &Worker,
    key: &ListenerKey,
    stream: TcpStream,
    peer: SocketAddr,
    closing: &Closing,
) -> Option<Transport> {
    let live = shared.plan_for(key);
    let tls = live.listener(key).and_then(|it| it.tls.as_ref());
    let Some(acceptor) = tls.map(|tls| tls.acceptor()) else {
        return Some(Box::new(stream));
    };
    let limits = &live.plan.limits;
    let whole = limits.first_byte_timeout.min(HANDSHAKE_MAX);
    let rest = limits.head_timeout.min(whole);
    // A slow handshake must not keep a plan alive that has been replaced.
    drop(live);
    let handshake = async {
        match timeout(whole, peeked(&stream)).await {
            Ok(Ok(Some(byte))) if byte.is_ascii_alphabetic() => {
                tell_plain(worker, stream, peer, closing).await;
                None
            }
            Ok(Ok(Some(_))) => shake(&acceptor, stream, peer, rest).await,
            // Nothing has come, so there is nothing to answer.
            Ok(Ok(None) | Err(_)) | Err(_) => None,
        }
    };
    tokio::select! {
        biased;
        transport = handshake => transport,
        () = last_call(closing) => None,
    }
}

/// Bounds the time of a handshake under way when the listener closes.
async fn last_call(closing: &Closing) {
    closing.wait().await;
    tokio::time::sleep(LAST_CALL).await;
}

/// The client's first byte, which stays unread; `None`: the client has left.
async fn peeked(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let count = stream.peek(&mut byte).await?;
    Ok((count > 0).then_some(byte[0]))
}

async fn shake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    limit: Duration,
) -> Option<Transport> {
    match timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a client's TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, ?limit, "a client's TLS handshake took too long");
            None
        }
    }
}

/// Answers a client that speaks plain HTTP on a listener with TLS.
async fn tell_plain(worker: &Worker, mut stream: TcpStream, peer: SocketAddr, closing: &Closing) {
    let why = "plain HTTP came to a port that speaks TLS: the URL begins with https://";
    let answer = refusal::refuse(worker, StatusCode::BAD_REQUEST, why, peer);
    if matches!(
        timeout(FAREWELL, stream.write_all(&answer)).await,
        Ok(Ok(()))
    ) {
        worker.lingering.linger(stream, closing).await;
    }
}
