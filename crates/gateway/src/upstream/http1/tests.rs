//! Whole exchanges over a byte stream whose other end the test plays.

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::message::interim::Watching;
use crate::message::kept_body::Outgoing;
use crate::upstream::answer_body::AnswerBody;

const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 1024,
    fields_max: 10,
};

/// A connection, and the other end of it.
fn connected(size: usize) -> (Option<Box<Http1>>, DuplexStream) {
    let (near, far) = duplex(size);
    (
        Some(Box::new(Http1::new(Box::new(near), LIMITS, None))),
        far,
    )
}

fn get() -> Request<Outgoing> {
    request(Method::GET, "")
}

fn request(method: Method, body: impl Into<bytes::Bytes>) -> Request<Outgoing> {
    let request = Request::builder().method(method).uri("/a");
    let request = request.header("x-a", "1");
    request.body(Outgoing::fixed(body)).unwrap()
}

async fn sent(
    held: &mut Option<Box<Http1>>,
    place: &mut Request<Outgoing>,
) -> Result<Response<AnswerBody>, exchange::NoAnswer> {
    let answer = exchange(held, place, Watching::default()).await;
    answer.map(|it| it.map(AnswerBody::Http1))
}

/// The connection behind an answer, if it may carry another request.
fn left(body: &mut AnswerBody) -> Option<Box<Http1>> {
    match body {
        AnswerBody::Http1(body) => match body.leave() {
            Left::Ready(connection) => Some(connection),
            Left::Uploading(_) | Left::Over(_) => None,
        },
        AnswerBody::Http2(_) => None,
    }
}

/// The answer that is seen when it comes in those pieces, after which the connection ends.
async fn seen(method: Method, pieces: &[&[u8]]) -> String {
    let (mut held, mut far) = connected(1 << 20);
    let mut place = request(method, "");
    let playing = async {
        let mut asked = [0; 1024];
        assert!(far.read(&mut asked).await.unwrap() > 0);
        for piece in pieces {
            // The connection may have been given up.
            far.write_all(piece).await.ok();
            // The other end reads this piece by itself.
            tokio::task::yield_now().await;
        }
        drop(far);
    };
    let reading = async {
        let answer = match sent(&mut held, &mut place).await {
            Err(none) => return format!("no answer: {}", none.fault),
            Ok(answer) => answer,
        };
        let mut text = format!("{} {:?}", answer.status(), answer.headers());
        let mut body = answer.into_body();
        let mut data = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Err(error) => return format!("{text} {data:?} {error}"),
                Ok(frame) => match frame.into_data() {
                    Ok(more) => data.extend_from_slice(&more),
                    Err(frame) => {
                        text += &format!(" trailers {:?}", frame.into_trailers().unwrap())
                    }
                },
            }
        }
        let mut connection = left(&mut body);
        let is_clean = connection.as_mut().map(|it| !it.has_leftovers());
        format!("{text} {data:?} reusable: {is_clean:?}")
    };
    tokio::join!(reading, playing).0
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

#[tokio::test]
async fn one_connection_carries_request_after_request() {
    let (mut held, mut far) = connected(1 << 20);
    for round in 0..3 {
        let mut place = request(Method::POST, format!("round {round}"));
        let playing = async {
            let mut asked = vec![0; 200];
            let bytes = far.read(&mut asked).await.unwrap();
            asked.truncate(bytes);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            far.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        let (answer, asked) = tokio::join!(sent(&mut held, &mut place), playing);
        let wanted =
            format!("POST /a HTTP/1.1\r\nx-a: 1\r\ncontent-length: 7\r\n\r\nround {round}");
        assert_eq!(asked, wanted);
        let mut body = answer.unwrap().into_body();
        assert_eq!((&mut body).collect().await.unwrap().to_bytes(), "ok");
        held = left(&mut body);
        assert_eq!(held.as_mut().unwrap().idleness(), Idleness::Open);
    }
}

#[test]
fn a_body_ends_as_its_head_says() {
    let of = |method: Method, bytes: &'static str| run(seen(method, &[bytes.as_bytes()]));
    let ends = |method, bytes, end: &str| {
        let seen = of(method, bytes);
        assert!(seen.ends_with(end), "{bytes:?}: {seen}");
    };
    let get = || Method::GET;
    ends(
        get(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nA",
        "[65] reusable: Some(true)",
    );
    ends(
        get(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nAB",
        "[65] reusable: Some(false)",
    );
    ends(
        get(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nA",
        "closed within the body",
    );
    ends(get(), "HTTP/1.1 200 OK\r\n\r\nA", "[65] reusable: None");
    ends(
        get(),
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nA",
        "[65] reusable: None",
    );
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nA";
    ends(get(), close, "[65] reusable: None");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n";
    ends(get(), chunked, "closed within the body");
    for (method, status) in [
        (Method::HEAD, "200 OK"),
        (get(), "204 No"),
        (get(), "304 No"),
    ] {
        let bytes = format!("HTTP/1.1 {status}\r\ncontent-length: 1\r\n\r\n");
        let seen = run(seen(method, &[bytes.as_bytes()]));
        assert!(seen.ends_with("[] reusable: Some(true)"), "{seen}");
    }
    let poisoned = "HTTP/1.1 304 No\r\ncontent-length: 1\r\n\r\nA";
    ends(get(), poisoned, "[] reusable: Some(false)");
}

#[tokio::test]
async fn a_request_of_which_nothing_went_out_is_whole_again() {
    let (mut held, far) = connected(1 << 20);
    drop(far);
    let mut place = request(Method::PUT, "body");
    let none = sent(&mut held, &mut place).await.unwrap_err();
    assert!(none.is_unsent);
    assert_eq!(place.headers()["x-a"], "1");
    assert_eq!(
        place.into_body().collect().await.unwrap().to_bytes(),
        "body"
    );
    let (mut held, mut far) = connected(1 << 20);
    let mut place = get();
    let closing = async {
        far.read_u8().await.unwrap();
        drop(far);
    };
    let none = tokio::join!(sent(&mut held, &mut place), closing)
        .0
        .unwrap_err();
    assert!(!none.is_unsent);
    assert_eq!(place.headers()["x-a"], "1", "it can go again");
    assert!(held.is_some_and(|it| it.written() > 0 && !it.has_read()));
}

#[tokio::test]
async fn what_comes_before_any_of_the_request_went_out_is_no_answer() {
    let (near, mut far) = duplex(1000);
    let mut near: Box<dyn crate::ground::transport::ByteStream> = Box::new(near);
    // The way is full, so that nothing more goes out.
    near.write_all(&[b'x'; 1000]).await.unwrap();
    let mut held = Some(Box::new(Http1::new(near, LIMITS, None)));
    far.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let none = sent(&mut held, &mut get()).await.unwrap_err();
    assert!(none.is_unsent && matches!(none.fault, Fault::NoAnswer));
}

#[tokio::test]
async fn interim_answers_come_before_the_final_one_and_are_not_without_number() {
    let (mut held, mut far) = connected(1 << 20);
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
    let answer = format!("{}HTTP/1.1 204 No\r\nx: y\r\n\r\n", hints.repeat(16));
    far.write_all(answer.as_bytes()).await.unwrap();
    let answer = sent(&mut held, &mut get()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers().len(), 1);
    let (mut held, mut far) = connected(1 << 20);
    far.write_all(hints.repeat(17).as_bytes()).await.unwrap();
    let none = sent(&mut held, &mut get()).await.unwrap_err();
    assert!(matches!(none.fault, Fault::TooManyInterim));
}

#[tokio::test]
async fn a_connection_that_ends_behind_an_interim_answer_leaves_the_request_whole() {
    let (mut held, mut far) = connected(1 << 20);
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200";
    far.write_all(hints.as_bytes()).await.unwrap();
    let mut place = request(Method::PUT, "body");
    let closing = async {
        let mut asked = [0; 1024];
        assert!(far.read(&mut asked).await.unwrap() > 0);
        drop(far);
    };
    let none = tokio::join!(sent(&mut held, &mut place), closing).0;
    assert!(matches!(none.unwrap_err().fault, Fault::NoAnswer));
    assert_eq!(place.headers()["x-a"], "1");
    let body = place.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "body");
}

#[tokio::test]
async fn a_switch_hands_over_the_stream_with_what_has_come() {
    let (mut held, mut far) = connected(1 << 20);
    let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nfirst";
    far.write_all(switch.as_bytes()).await.unwrap();
    let answer = sent(&mut held, &mut get()).await.unwrap();
    let mut stream = answer.into_body().into_stream().unwrap();
    far.write_all(b" second").await.unwrap();
    let mut got = [0; 12];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"first second");
    stream.write_all(b"back").await.unwrap();
    drop(stream);
    let mut got = String::new();
    far.read_to_string(&mut got).await.unwrap();
    assert!(got.ends_with("\r\n\r\nback"), "{got}");
}

#[tokio::test]
async fn an_upload_goes_on_behind_an_early_answer_that_nobody_reads() {
    const SIZE: usize = 100_000;
    let (mut held, mut far) = connected(1000);
    let mut place = request(Method::POST, vec![b'x'; SIZE]);
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";
    far.write_all(answer.as_bytes()).await.unwrap();
    let mut body = sent(&mut held, &mut place).await.unwrap().into_body();
    // All of the request arrives though the answer's body waits.
    let mut got = vec![0; SIZE];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!((&mut body).collect().await.unwrap().to_bytes(), "early");
    let AnswerBody::Http1(body) = &mut body else {
        panic!("it is HTTP/1");
    };
    let Left::Uploading(driven) = body.leave() else {
        panic!("a task drives it");
    };
    let head = got.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    let mut rest = vec![0; head];
    far.read_exact(&mut rest).await.unwrap();
    let mut again = driven.uploaded().await;
    assert!(again.is_some());
    assert_eq!(again.as_mut().unwrap().idleness(), Idleness::Open);
}

#[tokio::test]
async fn an_early_answer_that_nobody_wants_ends_the_connection() {
    let (mut held, mut far) = connected(1000);
    let mut place = request(Method::POST, vec![b'x'; 100_000]);
    far.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let answer = sent(&mut held, &mut place).await.unwrap();
    drop(answer);
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert!(got.len() < 100_000);
}

#[tokio::test]
async fn an_upstream_that_closes_behind_an_early_answer_ends_the_upload() {
    let (mut held, mut far) = connected(1000);
    let mut place = request(Method::POST, vec![b'x'; 100_000]);
    let answer = "HTTP/1.1 413 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno";
    far.write_all(answer.as_bytes()).await.unwrap();
    let mut body = sent(&mut held, &mut place).await.unwrap().into_body();
    assert_eq!((&mut body).collect().await.unwrap().to_bytes(), "no");
    drop(far);
    let AnswerBody::Http1(body) = &mut body else {
        panic!("it is HTTP/1");
    };
    let Left::Uploading(driven) = body.leave() else {
        panic!("a task drives it");
    };
    assert!(driven.uploaded().await.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn an_answer_is_the_same_however_it_comes(
        head in prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 304 No\nx: y\n\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 abc\r\n\r\n",
        ]),
        body in prop::sample::select(vec![
            "twelve bytes", "twelve", "twelve bytes and more", "", "6\r\ntwelve\r\n6\r\n bytes\r\n0\r\n\r\n",
            "6\r\ntwelve\r\n0\r\nx: y\r\n\r\n", "6\r\ntwelve\r\n0\r\nx: y\r\n\r\nmore", "6\r\ntwelve\rx", "1;a\r\n1\r\n",
        ]),
        cuts in prop::collection::vec(0..120_usize, 0..12),
        is_head in any::<bool>(),
    ) {
        let bytes = [head, body].concat().into_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|it| it.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|it| &bytes[it[0]..it[1]]).collect();
        let method = || if is_head { Method::HEAD } else { Method::GET };
        let whole = run(seen(method(), &[&bytes]));
        let mut cut = run(seen(method(), &pieces));
        // What comes late behind an answer is found when the connection is next looked at.
        if whole.ends_with("Some(false)") {
            cut = cut.replace("Some(true)", "Some(false)");
        }
        prop_assert_eq!(cut, whole);
    }
}
