//! The TLS handshake of a client's connection: bounded in time, with an answer to clients that speak plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fusebox_plan::plan::Http2;
use http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::downstream::connection::{FAREWELL, LAST_CALL};
use crate::downstream::http2::PREFACE;
use crate::downstream::refusal;
use crate::ground::closing::Closing;
use crate::ground::listen::ListenerKey;
use crate::ground::transport::Transport;
use crate::live::shared::Shared;
use crate::request::downstream::Protocol;
use crate::request::worker::Worker;

/// Time between two looks at a client that has sent fewer bytes than decide its protocol.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest time of a handshake, first byte included, whatever the limits allow.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Takes a connection over into TLS if its listener has a certificate, and finds the protocol that its client speaks;
/// `None`: it ended within the handshake.
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
) -> Option<(Transport, Protocol)> {
    let live = shared.plan_for(key);
    let listener = live.listener(key);
    let tls = listener.and_then(|it| it.tls.as_ref());
    let acceptor = tls.map(|tls| tls.acceptor());
    let may_know = listener.is_some_and(|it| it.plan.http2() == Http2::Cleartext);
    if acceptor.is_none() && !may_know {
        return Some((Box::new(stream), Protocol::Http1));
    }
    let limits = &live.plan.limits;
    let (first_byte, head) = (limits.first_byte_timeout, limits.head_timeout);
    let whole = first_byte.min(HANDSHAKE_MAX);
    let rest = head.min(whole);
    // A slow handshake must not keep a plan alive that has been replaced.
    drop(live);
    let Some(acceptor) = acceptor else {
        let preface = timeout(first_byte, preface(&stream, head));
        let protocol = tokio::select! {
            biased;
            protocol = preface => protocol.ok()?.ok()??,
            () = last_call(closing) => return None,
        };
        return Some((Box::new(stream), protocol));
    };
    let handshake = async {
        match timeout(whole, peeked(&stream)).await {
            Ok(Ok(Some(byte))) if byte.is_ascii_alphabetic() => {
                tell_plain(worker, stream, peer, closing).await;
                None
            }
            Ok(Ok(Some(_))) => match shake(&acceptor, stream, peer, rest).await {
                Shaken::Whole(transport) => Some(transport),
                Shaken::Refused(stream) => {
                    // The alert that says why is not lost to a reset: with TLS 1.3 a client may have sent a request.
                    worker.lingering.linger(stream, closing).await;
                    None
                }
                Shaken::Late => None,
            },
            // Nothing has come, so there is nothing to answer.
            Ok(Ok(None) | Err(_)) | Err(_) => None,
        }
    };
    let transport = tokio::select! {
        biased;
        transport = handshake => transport?,
        () = last_call(closing) => return None,
    };
    let protocol = match transport.chose_h2() {
        true => Protocol::Http2,
        false => Protocol::Http1,
    };
    Some((transport, protocol))
}

/// The protocol of a client that may know that HTTP/2 is spoken here; its bytes stay unread. `None`: it has left.
///
/// The first four bytes decide: no request of HTTP/1 has the method `PRI` (RFC 9113, section 3.4). A client that
/// begins so and then sends something else gets the error of HTTP/2.
async fn preface(stream: &TcpStream, patience: Duration) -> io::Result<Option<Protocol>> {
    let mut start = [0; 4];
    let mut waited = Duration::ZERO;
    loop {
        let count = stream.peek(&mut start).await?;
        if count == 0 {
            return Ok(None);
        }
        if !PREFACE.starts_with(&start[..count]) {
            return Ok(Some(Protocol::Http1));
        }
        if count == start.len() {
            return Ok(Some(Protocol::Http2));
        }
        if waited >= patience {
            // HTTP/1 has an answer to a head that does not come.
            return Ok(Some(Protocol::Http1));
        }
        // Unread bytes do not wake the task again; a client rarely sends so few.
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
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

/// The end of a handshake.
enum Shaken {
    Whole(Transport),
    /// The handshake failed, and the client has its alert; the connection beneath.
    Refused(TcpStream),
    /// The handshake took too long.
    Late,
}

async fn shake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    limit: Duration,
) -> Shaken {
    match timeout(limit, acceptor.accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => Shaken::Whole(Box::new(stream)),
        Ok(Err((error, stream))) => {
            tracing::debug!(%peer, %error, "a client's TLS handshake failed");
            Shaken::Refused(stream)
        }
        Err(_) => {
            tracing::debug!(%peer, ?limit, "a client's TLS handshake took too long");
            Shaken::Late
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
