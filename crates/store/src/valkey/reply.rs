//! Reads what the scripts answer.

use super::trouble::{Trouble, foreign};
use crate::{Object, WallTime};
use redis::Value;

/// A script's answer: its first word says which.
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
    /// Some keys, and whether more follow.
    Keys {
        keys: Vec<String>,
        more: bool,
    },
    Cleared(u64),
    Removed(u64),
}

impl Reply {
    pub(super) fn read(value: Value) -> Result<Reply, Trouble> {
        let Value::Array(items) = value else {
            return Err(strange());
        };
        let mut rest = items.into_iter().map(|item| match item {
            Value::BulkString(bytes) => Some(bytes),
            Value::Int(number) => Some(number.to_string().into_bytes()),
            _ => None,
        });
        let word = rest.next().flatten().ok_or_else(strange)?;
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
            _ => return Err(strange()),
        };
        Ok(reply)
    }

    /// What to say when a script answers what another would.
    pub(super) fn unexpected(self) -> Trouble {
        strange()
    }
}

/// The members of a set of names.
pub(super) fn names<C: FromIterator<String>>(value: Value) -> Result<C, Trouble> {
    let (Value::Array(items) | Value::Set(items)) = value else {
        return Err(strange());
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| foreign()),
            _ => Err(strange()),
        })
        .collect()
}

fn strange() -> Trouble {
    Trouble::Away(
        "the server answered what none of this store's scripts answers; see what listens there"
            .to_owned(),
    )
}

/// The fields after the first word. A missing or odd one means that the data are not ours.
struct Fields<I>(I);

impl<I: Iterator<Item = Option<Vec<u8>>>> Fields<I> {
    fn bytes(&mut self) -> Result<Vec<u8>, Trouble> {
        self.0.next().flatten().ok_or_else(foreign)
    }

    fn text(&mut self) -> Result<String, Trouble> {
        String::from_utf8(self.bytes()?).map_err(|_| foreign())
    }

    fn number<N: std::str::FromStr>(&mut self) -> Result<N, Trouble> {
        self.text()?.parse().map_err(|_| foreign())
    }

    fn optional(&mut self) -> Result<Option<u64>, Trouble> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| foreign())
    }

    fn texts(self) -> Result<Vec<String>, Trouble> {
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
