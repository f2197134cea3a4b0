//! Parses the replies of the store's scripts.

use super::trouble::{RequestError, foreign};
use crate::{Object, WallTime};
use redis::Value;

/// A script's reply. Its first word selects the variant.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    None,
    Object(Object),
    Stored {
        version: u64,
        first: bool,
    },
    Sum {
        sum: i64,
        version: u64,
        first: bool,
    },
    Refused {
        current: Option<u64>,
    },
    Full,
    NotANumber,
    Overflow {
        number: i64,
    },
    /// Some keys, and a flag that is set if more follow.
    Keys {
        keys: Vec<String>,
        more: bool,
    },
    Cleared(u64),
    Removed(u64),
}

impl Reply {
    pub(super) fn read(value: Value) -> Result<Reply, RequestError> {
        let Value::Array(items) = value else {
            return Err(unexpected_reply());
        };
        let mut rest = items.into_iter().map(|item| match item {
            Value::BulkString(bytes) => Some(bytes),
            Value::Int(number) => Some(number.to_string().into_bytes()),
            _ => None,
        });
        let word = rest.next().flatten().ok_or_else(unexpected_reply)?;
        let mut fields = Fields(rest);
        let reply = match word.as_slice() {
            b"none" => Reply::None,
            b"object" => Reply::Object(Object {
                value: fields.bytes()?.into(),
                media_type: fields.text()?,
                version: fields.number()?,
                expires_at: fields.optional()?.map(WallTime),
            }),
            b"stored" => Reply::Stored {
                version: fields.number()?,
                first: fields.number::<u8>()? == 1,
            },
            b"sum" => Reply::Sum {
                sum: fields.number()?,
                version: fields.number()?,
                first: fields.number::<u8>()? == 1,
            },
            b"refused" => Reply::Refused {
                current: fields.optional()?,
            },
            b"full" => Reply::Full,
            b"nan" => Reply::NotANumber,
            b"overflow" => Reply::Overflow {
                number: fields.number()?,
            },
            b"keys" | b"more" => Reply::Keys {
                keys: fields.texts()?,
                more: word == b"more",
            },
            b"cleared" => Reply::Cleared(fields.number()?),
            b"removed" => Reply::Removed(fields.number()?),
            b"torn" => return Err(foreign()),
            _ => return Err(unexpected_reply()),
        };
        Ok(reply)
    }

    /// The error for a reply of the wrong kind.
    pub(super) fn unexpected(self) -> RequestError {
        unexpected_reply()
    }
}

/// Parses the members of a set of names.
pub(super) fn names<C: FromIterator<String>>(value: Value) -> Result<C, RequestError> {
    let (Value::Array(items) | Value::Set(items)) = value else {
        return Err(unexpected_reply());
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| foreign()),
            _ => Err(unexpected_reply()),
        })
        .collect()
}

fn unexpected_reply() -> RequestError {
    RequestError::Unavailable(
        "the server sent a reply that no script of this store sends; check which server listens there"
            .to_owned(),
    )
}

/// The fields after the first word. A missing or malformed field means foreign data.
struct Fields<I>(I);

impl<I: Iterator<Item = Option<Vec<u8>>>> Fields<I> {
    fn bytes(&mut self) -> Result<Vec<u8>, RequestError> {
        self.0.next().flatten().ok_or_else(foreign)
    }

    fn text(&mut self) -> Result<String, RequestError> {
        String::from_utf8(self.bytes()?).map_err(|_| foreign())
    }

    fn number<N: std::str::FromStr>(&mut self) -> Result<N, RequestError> {
        self.text()?.parse().map_err(|_| foreign())
    }

    fn optional(&mut self) -> Result<Option<u64>, RequestError> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| foreign())
    }

    fn texts(self) -> Result<Vec<String>, RequestError> {
        self.0
            .map(|item| {
                let bytes = item.ok_or_else(foreign)?;
                String::from_utf8(bytes).map_err(|_| foreign())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("object"),
            Just("stored"),
            Just("sum"),
            Just("refused"),
            Just("overflow"),
            Just("keys"),
            Just("cleared"),
            Just("removed"),
            Just("none"),
            Just("what"),
        ];
        let field = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            any::<Vec<u8>>().prop_map(Value::BulkString),
            Just(Value::Okay),
            Just(Value::Array(Vec::new())),
        ];
        (word, prop::collection::vec(field, 0..5)).prop_map(|(word, fields)| {
            let word = Value::BulkString(word.as_bytes().to_vec());
            Value::Array(std::iter::once(word).chain(fields).collect())
        })
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused_without_a_panic(value in value()) {
            let _ = Reply::read(value);
        }
    }

    #[test]
    fn a_missing_part_of_an_object_is_damage() {
        let word = Value::BulkString(b"object".to_vec());
        let reply = Reply::read(Value::Array(vec![word, Value::Nil]));
        assert_eq!(reply, Err(foreign()));
    }
}
