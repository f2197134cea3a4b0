//! The keys that are read and checked, and have no effect yet: the one list of them, by table and key.
//!
//! A file with one of them is refused there; suggestions and schema leave them out. A key leaves this list with the
//! change that gives it its effect. It is empty now.

/// Table, key, and the mend until the key has its effect.
const UNSUPPORTED: &[(&str, &str, &str)] = &[];

/// The mend of a key that has no effect yet; `None` if it has.
pub(crate) fn mend_of(table: &str, key: &str) -> Option<&'static str> {
    let found = UNSUPPORTED.iter().find(|it| (it.0, it.1) == (table, key));
    found.map(|(_, _, mend)| *mend)
}
