//! The validation module.

use super::Lowering;
use super::open::Open;
use crate::app::{Does, Validation, ValidationRule};

impl<'a> Lowering<'a> {
    /// Reads a processor of `validation:*`.
    pub fn validation(&mut self, open: &Open<'a>) -> Option<Does> {
        let rule = match open.shape.name {
            "validation:is-not-null" => ValidationRule::NotNull(self.given(open, "value")?),
            "validation:is-null" => ValidationRule::Null(self.given(open, "value")?),
            "validation:is-true" => ValidationRule::True(self.given(open, "expression")?),
            "validation:is-false" => ValidationRule::False(self.given(open, "expression")?),
            "validation:is-not-blank-string" => {
                ValidationRule::NotBlank(self.given(open, "value")?)
            }
            "validation:matches-regex" => ValidationRule::Matches {
                value: self.given(open, "value")?,
                regex: self.given(open, "regex")?,
                case_sensitive: self.flag(open, "caseSensitive") != Some(false),
            },
            _ => ValidationRule::Size {
                value: self.given(open, "value")?,
                min: self.number(open, "min")?,
                max: self.number(open, "max"),
            },
        };
        Some(Does::Validation(Validation {
            rule,
            message: self.given(open, "message"),
        }))
    }
}
