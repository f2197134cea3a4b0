//! Conversion of values to the types of attributes (text, whole number, boolean), and to text for logs.

use std::sync::Arc;

use crate::fault::EvalFault;
use crate::script::coerce;
use crate::value::Value;
use crate::value::json::{self, Layout};
use crate::value::media::{Format, Typed};

impl Typed {
    /// The value as a text; `None` for null.
    ///
    /// # Errors
    /// If the value is an array or an object, or cannot be read.
    pub fn text(&self) -> Result<Option<Arc<str>>, EvalFault> {
        match self.read()? {
            Value::Null => Ok(None),
            value => coerce::text(&value).map(Some),
        }
    }

    /// The value as a whole number, also from a text: `"3"` is 3.
    ///
    /// # Errors
    /// If it is not a whole number.
    pub fn whole(&self) -> Result<i64, EvalFault> {
        coerce::integer(&self.read()?)
    }

    /// The value as a boolean, also from a text. Null is false.
    ///
    /// # Errors
    /// If it is not a boolean.
    pub fn truth(&self) -> Result<bool, EvalFault> {
        match self.read()? {
            Value::Null => Ok(false),
            value => coerce::boolean(&value),
        }
    }

    /// The value as a log shows it: null is `null`, objects and arrays are JSON, and texts of XML and CSV are as they are.
    ///
    /// # Errors
    /// If it cannot be read, or if its text is too long.
    pub fn shown(&self) -> Result<String, EvalFault> {
        match (&self.value, self.media_type.format()) {
            (Value::String(text), Format::Xml | Format::Csv) => Ok(text.to_string()),
            _ => self.read()?.shown(),
        }
    }

    /// An item of this value's list, with this value's media type: an item of a JSON text is a JSON text as well.
    ///
    /// # Errors
    /// If the text is too long.
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
    /// If the text is too long.
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

    /// True if a regular expression matches a whole text.
    ///
    /// # Errors
    /// If the expression is invalid, or needs more than linear time.
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
