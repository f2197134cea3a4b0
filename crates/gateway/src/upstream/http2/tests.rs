//! An HTTP/2 connection before the other end that h2 itself offers, and before none.

use std::future::pending;

use bytes::Bytes;
use h2::Reason;
use h2::server::{self, Connection, SendResponse};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::sender::{SendError, Sender};

type Server = Connection<DuplexStream, Bytes>;

fn target() -> Arc<Target> {
    Arc::new(Target {
        scheme: Scheme::HTTP,
        authority: Authority::from_static("orders.test"),
        head_bytes_max: 16 * 1024,
        head_fields_max: 100,
    })
}

/// A connection whose other end runs `serve`.
async fn connected<F>(serve: impl FnOnce(Server) -> F + Send + 'static) -> Http2
where
    F: Future<Output = ()> + Send + 'static,
{
    let (near, far) = duplex(1024 * 1024);
    tokio::spawn(async move {
        let server = server::handshake(far).await.unwrap();
        serve(server).await;
    });
    let state = ConnectionState::new(None);
    Http2::over(near, state, target()).await.unwrap()
}

/// The next request of a server, to be answered.
async fn next(server: &mut Server) -> SendResponse<Bytes> {
    server.accept().await.unwrap().unwrap().1
}

fn request() -> Request<Outgoing> {
    Request::get("/a").body(Outgoing::empty()).unwrap()
}

async fn answered(sender: &mut Sender, request: Request<Outgoing>) -> Response<AnswerBody> {
    let mut place = Some(request);
    sender.send(&mut place, Watching::default()).await.unwrap()
}

async fn failed(sender: &mut Sender) -> SendError {
    let mut place = Some(request());
    let sent = sender.send(&mut place, Watching::default());
    sent.await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_answers_no_ping_has_lost_the_connection() {
    let connection = connected(|mut server| async move {
        let _asked = next(&mut server).await;
        // A connection that is not polled answers no ping.
        pending().await
    })
    .await;
    let mut sender = Sender::on_stream(connection.clone());
    let start = tokio::time::Instant::now();
    let error = failed(&mut sender).await;
    assert_eq!(
        start.elapsed().as_secs(),
        (PING_EVERY + PONG_WITHIN).as_secs()
    );
    let why = sender.why(&error.error);
    assert_eq!(
        (why.kind, why.word),
        (ErrorKind::Reset, "no answer to a ping")
    );
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_pinged_too() {
    let connection = connected(|server| async move {
        let _server = server;
        pending().await
    })
    .await;
    assert!(!connection.is_closed());
    tokio::time::sleep(PING_EVERY + PONG_WITHIN + PING_EVERY).await;
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_refused_stream_was_not_processed_and_another_reset_may_have_been() {
    let connection = connected(|mut server| async move {
        for reason in [Reason::REFUSED_STREAM, Reason::CANCEL] {
            next(&mut server).await.send_reset(reason);
        }
        let _ended = server.accept().await;
    })
    .await;
    for is_unprocessed in [true, false] {
        let mut sender = Sender::on_stream(connection.clone());
        let error = failed(&mut sender).await;
        assert_eq!(sender.is_unprocessed(&error.error), is_unprocessed);
        assert_eq!(sender.why(&error.error).kind, ErrorKind::Reset);
    }
    assert_eq!(connection.streams.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closes_in_time_though_an_upload_is_stuck() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let connection = connected(move |mut server| async move {
        let (asked, mut answer) = server.accept().await.unwrap().unwrap();
        let _unread = asked.into_body();
        answer.send_response(http::Response::new(()), true).unwrap();
        let ended = server.accept().await;
        told.send(ended.is_none_or(|it| it.is_err())).unwrap();
    })
    .await;
    let mut sender = Sender::on_stream(connection.clone());
    // More than a window takes that is never opened again.
    let body = Outgoing::fixed(vec![b'x'; 1024 * 1024]);
    let request = Request::post("/a").body(body).unwrap();
    drop(answered(&mut sender, request).await);
    assert_eq!(connection.streams.open(), 1);
    drop(sender);
    let start = tokio::time::Instant::now();
    drop(connection);
    assert!(heard.await.unwrap(), "it has ended");
    assert_eq!(start.elapsed(), CLOSES_WITHIN);
}

#[tokio::test]
async fn a_head_far_over_our_limit_is_called_so() {
    let connection = connected(|mut server| async move {
        let mut asked = next(&mut server).await;
        let mut answer = http::Response::new(());
        for _ in 0..40 {
            let value = HeaderValue::try_from("x".repeat(10_000)).unwrap();
            answer.headers_mut().append("x-big", value);
        }
        let _sent = asked.send_response(answer, true);
        let _ended = server.accept().await;
    })
    .await;
    let mut sender = Sender::on_stream(connection);
    let error = failed(&mut sender).await;
    let why = sender.why(&error.error);
    assert_eq!(
        (why.kind, why.word),
        (ErrorKind::Limit, "head over our limit")
    );
}

#[tokio::test]
async fn an_end_by_no_error_is_one_behind_a_whole_answer_alone() {
    let connection = connected(|mut server| async move {
        for is_whole in [false, true] {
            let mut asked = next(&mut server).await;
            let mut body = asked.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"part"), is_whole)
                .unwrap();
            if !is_whole {
                // A reset overtakes frames that are not written yet.
                std::future::poll_fn(|cx| {
                    let _none = server.poll_accept(cx);
                    std::task::Poll::Ready(())
                })
                .await;
                body.send_reset(Reason::NO_ERROR);
            }
        }
        let _ended = server.accept().await;
    })
    .await;
    for is_whole in [false, true] {
        let mut sender = Sender::on_stream(connection.clone());
        let answer = answered(&mut sender, request()).await;
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
        assert_eq!(body.is_cut_short(), !is_whole);
    }
}

#[tokio::test]
async fn an_upstream_without_http2_fails_before_a_request() {
    let (near, mut far) = duplex(1024);
    tokio::spawn(async move {
        let mut preface = [0; 24];
        far.read_exact(&mut preface).await.unwrap();
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let state = ConnectionState::new(None);
    let why = Http2::over(near, state, target()).await.unwrap_err();
    assert_eq!(
        (why.kind, why.word),
        (ErrorKind::Protocol, "no HTTP/2 spoken")
    );
    let (near, far) = duplex(1024);
    drop(far);
    let state = ConnectionState::new(None);
    let why = Http2::over(near, state, target()).await.unwrap_err();
    assert_eq!(why.kind, ErrorKind::Reset);
}
