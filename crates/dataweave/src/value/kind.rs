//! The kinds of values.

use std::fmt;

/// The kind of a value, in DataWeave's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the kinds have their names in a script")]
pub enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Binary,
    DateTime,
    LocalDateTime,
    Date,
    Time,
    LocalTime,
    TimeZone,
    Period,
    Regex,
    Array,
    Object,
    Type,
    Function,
}

/// The kinds with their names in a script, in the order of [`Kind`].
const KINDS: [(Kind, &str); 17] = [
    (Kind::Null, "Null"),
    (Kind::Boolean, "Boolean"),
    (Kind::Number, "Number"),
    (Kind::String, "String"),
    (Kind::Binary, "Binary"),
    (Kind::DateTime, "DateTime"),
    (Kind::LocalDateTime, "LocalDateTime"),
    (Kind::Date, "Date"),
    (Kind::Time, "Time"),
    (Kind::LocalTime, "LocalTime"),
    (Kind::TimeZone, "TimeZone"),
    (Kind::Period, "Period"),
    (Kind::Regex, "Regex"),
    (Kind::Array, "Array"),
    (Kind::Object, "Object"),
    (Kind::Type, "Type"),
    (Kind::Function, "Function"),
];

impl Kind {
    /// The kind's name in a script.
    pub fn name(self) -> &'static str {
        let (kind, name) = KINDS[self as usize];
        debug_assert_eq!(kind, self, "kinds and names are in one order");
        name
    }

    /// The kind with a name.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        let found = KINDS.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
