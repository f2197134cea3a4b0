//! A stream of server-sent events, read frame by frame.

use std::collections::VecDeque;
use std::io;

use serde_json::Value;

use super::gateway::Gateway;
use super::wire::Client;

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The identifier, if it has one.
    pub id: Option<String>,
    /// The type.
    pub kind: String,
    /// The data.
    pub data: Value,
}

impl Frame {
    /// The number in the identifier.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn number(&self) -> u64 {
        let id = self.id.as_deref().expect("an identifier");
        let (_, number) = id.rsplit_once('-').expect("BOOT-SEQ");
        number.parse().expect("a number")
    }
}

/// A stream of events, open until it is dropped.
pub struct Stream {
    /// The connection.
    pub client: Client,
    text: String,
    frames: VecDeque<Frame>,
}

impl Stream {
    /// Opens the stream of a gateway; `lines` are fields, each ended with `\r\n`.
    ///
    /// # Panics
    /// If it is refused.
    #[track_caller]
    pub fn open(gateway: &Gateway, query: &str, lines: &str) -> Stream {
        let mut client = gateway.admin();
        let host = &client.host;
        let head = format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        client.send(head);
        let head = client.head();
        assert_eq!(head.status, 200);
        assert_eq!(head.fields.get("content-type"), Some("text/event-stream"));
        Stream {
            client,
            text: String::new(),
            frames: VecDeque::new(),
        }
    }

    /// Opens the stream after an event.
    ///
    /// # Panics
    /// If it is refused.
    #[track_caller]
    pub fn after(gateway: &Gateway, id: &str) -> Stream {
        Stream::open(gateway, "", &format!("Last-Event-ID: {id}\r\n"))
    }

    /// The next event; `None`: the stream has ended as it should.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn try_next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            let chunk = self.client.wire.read_chunk()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            self.text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.frames.extend(frame(block));
                self.text = rest.to_owned();
            }
        }
    }

    /// The next event.
    ///
    /// # Panics
    /// If the stream ends.
    #[track_caller]
    pub fn next(&mut self) -> Frame {
        let next = self.try_next().expect("the stream goes on");
        next.expect("the stream goes on")
    }

    /// The next event of a type; others are skipped.
    ///
    /// # Panics
    /// If the stream ends.
    #[track_caller]
    pub fn next_of(&mut self, kind: &str) -> Frame {
        loop {
            let next = self.next();
            if next.kind == kind {
                return next;
            }
        }
    }
}

/// The event of a block; `None`: it is a comment.
fn frame(block: &str) -> Option<Frame> {
    let field = |name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let data: Value = serde_json::from_str(field("data")?).expect("the data is JSON");
    let kind = field("event").expect("a type").to_owned();
    assert_eq!(data["type"], kind.as_str());
    for head in ["at", "node"] {
        assert!(data[head].is_string(), "{head} in {data}");
    }
    Some(Frame {
        id: field("id").map(str::to_owned),
        kind,
        data,
    })
}
