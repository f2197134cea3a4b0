//! A request's body as the output of a REST trigger: decoded by the exact text of `Content-Type`.

use std::convert::Infallible;

use bytes::Bytes;

use crate::language::urlencoded;
use crate::{JsonFaultKind, Map, NilKind, Numbers, Value};

/// Decodes a body by its media type.
///
/// # Errors
/// The fault of the body, for the client.
pub async fn decode(media_type: &str, body: Bytes) -> Result<Value, String> {
    match media_type {
        "application/json" => match Value::from_json_text(&text(&body), Numbers::Float) {
            Ok(value) => Ok(value),
            Err(fault) if fault.kind == JsonFaultKind::Empty => Ok(Value::Null),
            Err(fault) => Err(fault.message),
        },
        "application/x-www-form-urlencoded" => form(&text(&body)),
        _ if media_type.contains("multipart/form-data") => multipart(media_type, body).await,
        _ => Ok(Value::from(&*text(&body))),
    }
}

fn text(body: &Bytes) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body)
}

/// Decodes a form to the first value of each name.
fn form(text: &str) -> Result<Value, String> {
    let mut content = Map::new();
    for pair in urlencoded::pairs(text) {
        let (name, value) = pair.map_err(|bad| bad.to_string())?;
        let entry = content.entry(name.into());
        entry.or_insert_with(|| Value::from(value));
    }
    Ok(content.into())
}

/// Decodes the files of a multipart form; plain fields are ignored, as in the original.
async fn multipart(media_type: &str, body: Bytes) -> Result<Value, String> {
    let boundary = multer::parse_boundary(media_type)
        .map_err(|_| "no multipart boundary param in Content-Type".to_owned())?;
    let whole = futures_util::stream::once(std::future::ready(Ok::<_, Infallible>(body)));
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut files = Vec::new();
    let broken = |error: multer::Error| format!("multipart: {error}");
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let Some(file_name) = part.file_name().filter(|name| !name.is_empty()) else {
            continue;
        };
        // Folders in a client's file name are ignored.
        let file_name = file_name.rsplit('/').next().unwrap_or_default().to_owned();
        let key = part.name().unwrap_or_default().to_owned();
        let file_type = part.headers().get(http::header::CONTENT_TYPE);
        let file_type =
            file_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let file = part.bytes().await.map_err(broken)?;
        let size = i64::try_from(file.len()).unwrap_or(i64::MAX);
        let details = Map::from([
            ("key".into(), key.into()),
            ("fileName".into(), file_name.into()),
            ("fileType".into(), file_type.unwrap_or_default().into()),
            ("size".into(), Value::Long(size)),
            ("file".into(), Value::Bytes(file)),
        ]);
        files.push(Value::from(details));
    }
    let files = match files.is_empty() {
        true => Value::Nil(NilKind::Array),
        false => files.into(),
    };
    Ok(Map::from([("body".into(), Value::Null), ("files".into(), files)]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(media_type: &str, body: &str) -> Result<String, String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let value = runtime.unwrap().block_on(decode(media_type, body))?;
        Ok(value.to_json_text().unwrap())
    }

    #[test]
    fn a_body_is_read_by_the_exact_text_of_its_media_type() {
        let json = |body| decoded("application/json", body);
        assert_eq!(json(r#"{"a":1} rest"#).unwrap(), r#"{"a":1}"#);
        assert_eq!(json(" ").unwrap(), "null");
        assert!(json("{bad").is_err());
        let other = decoded("application/json; charset=utf-8", r#"{"a":1}"#);
        assert_eq!(other.unwrap(), r#""{\"a\":1}""#);
        assert_eq!(decoded("", "").unwrap(), r#""""#);
    }

    #[test]
    fn a_form_gives_the_first_value_of_each_name() {
        let form = |body| decoded("application/x-www-form-urlencoded", body);
        assert_eq!(form("a=1&b=x+y&a=2").unwrap(), r#"{"a":"1","b":"x y"}"#);
        assert_eq!(form("a=%zz").unwrap_err(), "invalid URL escape \"%zz\"");
    }

    #[test]
    fn a_multipart_form_gives_its_files_with_their_bytes() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"plain\"\r\n\r\nx\r\n\
                    --b\r\nContent-Disposition: form-data; name=\"up\"; filename=\"../a.txt\"\r\n\
                    Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
        assert_eq!(
            decoded("multipart/form-data; boundary=b", body).unwrap(),
            r#"{"body":null,"files":[{"file":"aGVsbG8=","fileName":"a.txt","fileType":"text/plain","key":"up","size":5}]}"#
        );
        assert!(decoded("multipart/form-data", body).is_err());
        assert!(decoded("multipart/form-data; boundary=b", "--b\r\nrubbish").is_err());
    }
}
