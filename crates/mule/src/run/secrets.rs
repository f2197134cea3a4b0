//! The values of secure properties, which no log line shows.

use std::borrow::Cow;
use std::ops::Bound;

use crate::app::App;

/// The prefix of the keys of secure properties.
const SECURE: &str = "secure::";
/// The length in bytes from which a value is looked for within a text; a shorter one is in every text.
const LENGTH_MIN: usize = 4;

/// A text for the log, with `***` in place of each secure property's value.
pub(super) fn hidden<'t>(app: &App, text: &'t str) -> Cow<'t, str> {
    let mut shown = Cow::Borrowed(text);
    let all = app
        .properties
        .range::<str, _>((Bound::Included(SECURE), Bound::Unbounded));
    let mut secrets: Vec<&str> = all
        .take_while(|(key, _)| key.starts_with(SECURE))
        .map(|(_, value)| &**value)
        .filter(|value| *value == text || value.len() >= LENGTH_MIN && text.contains(value))
        .filter(|value| !value.is_empty())
        .collect();
    // A value may be a part of another.
    secrets.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for secret in secrets {
        shown = shown.replace(secret, "***").into();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::hidden;
    use crate::app::Compat;
    use crate::run::fixtures;

    #[test]
    fn a_log_line_shows_no_value_of_a_secure_property() {
        let mut app = fixtures::app(Compat::Intent, Vec::new());
        for (key, value) in [
            ("secure::pot", "earl"),
            ("secure::cup", "earl grey"),
            ("secure::leaf", "t"),
            ("plain", "milk"),
        ] {
            app.properties.insert(key.into(), value.into());
        }
        assert_eq!(
            hidden(&app, "a cup of earl grey, earl"),
            "a cup of ***, ***"
        );
        assert_eq!(hidden(&app, "t"), "***");
        assert_eq!(hidden(&app, "tea with milk"), "tea with milk");
    }
}
