//! What an attribute wants of a value: a text, a count, a truth value; and the text of one in a log.

use std::sync::Arc;

use crate::fault::EvalFault;
use crate::script::coerce;
use crate::value::Value;
use crate::value::json::{self, Layout};
use crate::value::media::{Format, Typed};

impl Typed {
    /// The text that the value is or becomes; `None` if it is null.
    ///
    /// # Errors
    /// Where it is an array or an object, or cannot be read.
    pub fn text(&self) -> Result<Option<Arc<str>>, EvalFault> {
        match self.read()? {
            Value::Null => Ok(None),
            value => coerce::text(&value).map(Some),
        }
    }

    /// The whole number that the value is, also by its text: `"3"` is 3.
    ///
    /// # Errors
    /// Where it is none.
    pub fn whole(&self) -> Result<i64, EvalFault> {
        coerce::integer(&self.read()?)
    }

    /// The truth value, also by its text. Null is false.
    ///
    /// # Errors
    /// Where it is none.
    pub fn truth(&self) -> Result<bool, EvalFault> {
        match self.read()? {
            Value::Null => Ok(false),
            value => coerce::boolean(&value),
        }
    }

    /// The value as a log shows it: null is `null`, objects and arrays are JSON.
    ///
    /// # Errors
    /// Where it cannot be read, or its text is too long.
    pub fn shown(&self) -> Result<String, EvalFault> {
        self.read()?.shown()
    }

    /// A part of this value, an item of its list, with this value's media type: a part of a JSON text
    /// is one as well.
    ///
    /// # Errors
    /// Where its text is too long.
    pub fn part(&self, part: Value) -> Result<Typed, EvalFault> {
        match (&self.value, self.media_type.format()) {
            (Value::String(_) | Value::Binary(_), Format::Json) => Ok(Typed {
                value: json::write(&part, Layout::default())?.into(),
                media_type: self.media_type.clone(),
            }),
            _ => Ok(Typed::java(part)),
        }
    }
}

impl Value {
    /// The value as a log shows it: null is `null`, objects and arrays are JSON.
    ///
    /// # Errors
    /// Where its text is too long.
    pub fn shown(&self) -> Result<String, EvalFault> {
        match self {
            Value::Null => Ok("null".to_owned()),
            Value::Array(_) => json::write(self, Layout::default()),
            Value::Object(object) => match (object.message_payload(), object.error_type()) {
                (Some(payload), _) => payload.shown(),
                (None, Some(name)) => Ok(name),
                (None, None) => json::write(self, Layout::default()),
            },
            _ => coerce::text(self).map(|text| text.to_string()),
        }
    }

    /// Whether a text matches a regular expression as a whole.
    ///
    /// # Errors
    /// Where the expression is none, or needs more than linear time.
    pub fn matches(text: &str, regex: &str, case_sensitive: bool) -> Result<bool, EvalFault> {
        let flag = if case_sensitive { "" } else { "(?i)" };
        let pattern = coerce::pattern(&Value::from(format!("{flag}{regex}")))?;
        Ok(pattern.whole().is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::media::MediaType;

    #[test]
    fn a_count_may_be_a_text() {
        assert_eq!(Typed::literal("3").whole(), Ok(3));
        assert!(Typed::literal("x").whole().is_err());
        assert!(Typed::java(Value::Null).whole().is_err());
    }

    #[test]
    fn null_is_no_text_and_not_true() {
        assert_eq!(Typed::java(Value::Null).text(), Ok(None));
        assert_eq!(Typed::java(Value::Null).truth(), Ok(false));
        assert_eq!(Typed::literal("TRUE").truth(), Ok(true));
        assert!(Typed::literal("yes").truth().is_err());
    }

    #[test]
    fn a_part_of_a_json_text_is_one() {
        let list = Typed {
            value: r#"["a", {"b": 1}]"#.into(),
            media_type: MediaType::json(),
        };
        let part = list.part("a".into()).unwrap();
        assert_eq!(part.value, Value::from("\"a\""));
        assert_eq!(part.read(), Ok("a".into()));
        let java = Typed::java(Value::array(vec!["a".into()]));
        assert_eq!(java.part("a".into()).unwrap(), Typed::java("a"));
    }

    #[test]
    fn an_expression_matches_the_whole_text() {
        assert_eq!(Value::matches("AB-12", "[A-Z]+-[0-9]+", true), Ok(true));
        assert_eq!(Value::matches("xAB-12", "[A-Z]+-[0-9]+", true), Ok(false));
        assert_eq!(Value::matches("ab-12", "[A-Z]+-[0-9]+", false), Ok(true));
    }
}
