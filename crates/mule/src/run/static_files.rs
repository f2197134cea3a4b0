//! Static resources: the file of a directory that a request's path names.
//!
//! The path counts below that of the listener. A file outside the directory, by `..` or by a link, is not found.
//!
//! Source: [loading static resources](https://docs.mulesoft.com/http-connector/latest/http-load-static-resource-task).

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::engine::{At, Run};
use super::error::{Done, Message, MuleError};
use super::listener::escaped;
use crate::app::StaticResource;
use crate::{Event, Object, Typed, Value};

/// The limit of a file, in bytes.
const FILE_MAX: u64 = 32 * 1024 * 1024;

/// The media types of files, by the ends of their names.
const MEDIA_TYPES: [(&str, &str); 19] = [
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "application/javascript"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("raml", "application/raml+yaml"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

impl Run {
    /// Delivers the file of a request.
    pub async fn static_resource(
        &self,
        at: At<'_>,
        it: &StaticResource,
        event: &mut Event,
    ) -> Done {
        let text = |given| self.text(at, given, event);
        let base = text(&it.base)?.unwrap_or_default();
        let default = text(&it.default_file)?.unwrap_or_default();
        let attributes = it.attributes.eval(&self.context(at, event))?.read()?;
        let path = match &attributes {
            Value::Object(attributes) => below(attributes),
            _ => None,
        };
        let Some(path) = path else {
            let what = "the request's attributes have no path: are they those of a listener?";
            return Err(MuleError::new("MULE:EXPRESSION", what).into());
        };
        let base = PathBuf::from(&*base);
        let name = path.trim_start_matches('/').to_owned();
        // A disk may be slow, and the worker serves others.
        let read = tokio::task::spawn_blocking(move || find(&base, &name, &default)).await;
        let read = read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        let (file, bytes) = read.map_err(|error| {
            tracing::debug!(%error, path, "a static resource");
            let what = format!("Resource '{}' was not found.", escaped(&path));
            MuleError::new("HTTP:NOT_FOUND", what)
        })?;
        let end = file
            .extension()
            .and_then(|end| end.to_str())
            .unwrap_or_default();
        let end = end.to_ascii_lowercase();
        let known = MEDIA_TYPES.iter().find(|(of, _)| *of == end);
        let media_type = known.map_or("application/octet-stream", |(_, media_type)| media_type);
        let message = Message {
            payload: Typed::received(bytes, Some(media_type)),
            attributes: Value::Null,
        };
        self.deliver(at, it.target.as_ref(), event, message)
    }
}

/// The path of a request below that of its listener.
fn below(attributes: &Object) -> Option<String> {
    let text = |name: &str| match attributes.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let path = text("requestPath")?;
    let listener = text("listenerPath").unwrap_or_else(|| "/*".into());
    let above = listener.strip_suffix("/*").unwrap_or(&listener);
    let above = above.trim_end_matches('/');
    Some(path.strip_prefix(above).unwrap_or(&path).to_owned())
}

/// The file of a name in a directory, with its content; of a directory in it the default file.
fn find(base: &Path, name: &str, default: &str) -> io::Result<(PathBuf, Bytes)> {
    let base = base.canonicalize()?;
    let inside = |path: PathBuf| {
        let path = path.canonicalize()?;
        match path.starts_with(&base) {
            true => Ok(path),
            false => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        }
    };
    let mut file = inside(base.join(name))?;
    if file.is_dir() {
        file = inside(file.join(default))?;
    }
    let length = file.metadata()?.len();
    if length > FILE_MAX {
        let what = format!("the file has {length} bytes, above the limit of {FILE_MAX}");
        return Err(io::Error::other(what));
    }
    let bytes = std::fs::read(&file)?;
    Ok((file, bytes.into()))
}
