//! Last good answers as a caller uses them: a rig of one upstream, and its tests by theme.

mod credentials;
mod freshening;
mod hostile;
mod keeping;
mod restart;
mod serving;
mod threads;

use super::*;
use bytes::Bytes;
use fusebox_store::{Limits, MemoryStore, SystemClock};
use http::HeaderName;
use tokio::task::JoinHandle;

/// The time at which a rig begins, in milliseconds since the Unix epoch.
const START: u64 = 1_700_000_000_000;

/// The age limit of a rig's rung.
const AGE_MAX: Duration = Duration::from_secs(3_600);

type Fields<'a> = &'a [(&'static str, &'a str)];

/// The last good answers of an upstream with its writer, as one process has them.
struct Rig {
    last_good: Arc<LastGood>,
    writer: JoinHandle<()>,
    /// The route's scope.
    scope: Scope,
}

/// The answer to a request: status and body, or the reason why there is none.
type Answer = Result<(u16, String), Skipped>;

fn memory_store() -> Arc<dyn ObjectStore> {
    Arc::new(MemoryStore::new(Limits::default(), Arc::new(SystemClock)))
}

fn fields(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn keyed(names: &[&'static str]) -> Settings {
    Settings {
        key: names
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect(),
        ..Settings::default()
    }
}

impl Rig {
    async fn new(settings: Settings) -> Rig {
        Rig::on(settings, memory_store()).await
    }

    async fn on(settings: Settings, store: Arc<dyn ObjectStore>) -> Rig {
        let salt = Salt::load(&store).await;
        let (last_good, writer) = LastGood::new("orders", settings, AGE_MAX, store, salt);
        Rig {
            last_good,
            writer: tokio::spawn(writer.run()),
            scope: Scope::default(),
        }
    }

    fn lookup(&self, method: &Method, target: &str, headers: &HeaderMap) -> Lookup {
        self.last_good.admits(&Asked {
            method,
            target: &target.parse().unwrap(),
            host: None,
            headers,
            has_body: headers.contains_key("content-length"),
            scope: self.scope,
        })
    }

    /// Passes an answer on, as of a time after the start.
    fn answered_at(
        &self,
        after: Duration,
        (method, target, sent): (Method, &str, Fields<'_>),
        (status, headers, body): (u16, Fields<'_>, &str),
    ) {
        let sent = fields(sent);
        let lookup = self.lookup(&method, target, &sent);
        let status = StatusCode::from_u16(status).unwrap();
        let now = START + after.as_millis() as u64;
        let headers = fields(headers);
        let judged = if status.is_server_error() {
            Judged::Failed
        } else {
            Judged::Fine
        };
        let recorder = self
            .last_good
            .observe(&lookup, status, &headers, &sent, judged, now);
        if let Some(mut recorder) = recorder {
            for part in body.as_bytes().chunks(3) {
                recorder.push(&Bytes::copy_from_slice(part));
            }
            recorder.finish();
        }
    }

    fn get(&self, target: &str, status: u16, headers: Fields<'_>, body: &str) {
        let request = (Method::GET, target, &[][..]);
        self.answered_at(Duration::ZERO, request, (status, headers, body));
    }

    async fn served_at(
        &self,
        after: Duration,
        (method, target, sent): (Method, &str, Fields<'_>),
    ) -> Result<Served, Skipped> {
        let sent = fields(sent);
        let lookup = self.lookup(&method, target, &sent);
        let wish = Wish {
            headers: &sent,
            age_max: AGE_MAX,
            now: START + after.as_millis() as u64,
            reason: "breaker_open",
        };
        self.last_good.serve(&lookup, &wish).await
    }

    async fn ask(&self, target: &str, sent: Fields<'_>) -> Answer {
        let request = (Method::GET, target, sent);
        let served = self.served_at(Duration::from_secs(1), request).await?;
        let body = String::from_utf8(served.body.to_vec()).unwrap();
        Ok((served.status.as_u16(), body))
    }

    async fn asks(&self, target: &str) -> Answer {
        self.ask(target, &[]).await
    }

    /// Ends at once, with whatever is queued.
    async fn kill(self) {
        self.writer.abort();
        // The abort itself is the result.
        let _ = self.writer.await;
    }
}

fn ok(body: &str) -> Answer {
    Ok((200, body.to_owned()))
}
