//! The frames of server-sent events, read from the bytes of a stream as they come.

use serde_json::Value;

/// The largest frame, in bytes.
const FRAME_MAX: usize = 16 << 20;

/// A reader of frames.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes of a line that is not complete.
    line: Vec<u8>,
    id: Option<String>,
    data: String,
}

/// A frame with data.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The identifier, from which the stream continues.
    pub id: Option<String>,
    /// The data, with the identifier as its member `id`.
    pub event: Value,
}

impl Frames {
    /// Takes bytes, and returns the frames that they complete.
    ///
    /// # Errors
    /// Data that is not JSON, or a frame of more than 16 MiB.
    pub fn read(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let size = self.line.len() + part.len() + self.data.len();
            anyhow::ensure!(
                size <= FRAME_MAX,
                "an event has more than {FRAME_MAX} bytes"
            );
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                frames.extend(self.line(line.trim_end_matches(['\n', '\r']))?);
            }
        }
        Ok(frames)
    }

    fn line(&mut self, line: &str) -> anyhow::Result<Option<Frame>> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" => self.id = Some(value.to_owned()),
            "" if line.is_empty() => return self.frame(),
            // The data names the type as well. A line that begins with a colon is a comment.
            _ => {}
        }
        Ok(None)
    }

    fn frame(&mut self) -> anyhow::Result<Option<Frame>> {
        let (id, data) = (self.id.take(), std::mem::take(&mut self.data));
        if data.is_empty() {
            return Ok(None);
        }
        let event = serde_json::from_str(&data);
        let mut event: Value = event.map_err(|_| anyhow::anyhow!("an event is invalid JSON"))?;
        if let (Some(id), Some(members)) = (&id, event.as_object_mut()) {
            members.insert("id".into(), id.clone().into());
        }
        Ok(Some(Frame { id, event }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STREAM: &str = ": fusebox\n\nid: b-7\nevent: hold\ndata: {\"type\":\"hold\",\n\
        data: \"by\":\"é\"}\n\n: alive\n\ndata: {\"type\":\"pulse\"}\r\n\r\n";

    #[test]
    fn frames_are_the_same_however_their_bytes_are_cut() {
        let expected = [
            Frame {
                id: Some("b-7".into()),
                event: json!({ "type": "hold", "by": "é", "id": "b-7" }),
            },
            Frame {
                id: None,
                event: json!({ "type": "pulse" }),
            },
        ];
        for size in 1..STREAM.len() {
            let mut frames = Frames::default();
            let parts = STREAM.as_bytes().chunks(size);
            let read = parts.flat_map(|part| frames.read(part).unwrap());
            assert_eq!(read.collect::<Vec<_>>(), expected, "in parts of {size}");
        }
    }

    #[test]
    fn data_that_is_not_json_is_an_error() {
        assert!(Frames::default().read(b"data: nonsense\n\n").is_err());
    }
}
