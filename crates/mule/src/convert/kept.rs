//! Entries of object stores in which a flow keeps answers.

use std::time::Duration;

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::Symbol;

use crate::app::StoreDeclaration;

/// The age of a last good answer that the flow keeps for ever.
pub(super) const KEPT_FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// The fields of the request in the key of a kept answer, as `header.NAME`; false: the key depends on more than them and
/// the address.
pub(super) fn key_of(key: &Symbol) -> (Vec<String>, bool) {
    let pieces = match key {
        Symbol::Text(pieces) => &pieces[..],
        one => std::slice::from_ref(one),
    };
    let attributes = Symbol::input("attributes");
    let mut fields = Vec::new();
    for piece in pieces {
        match piece.bare() {
            Symbol::Known(Value::String(_) | Value::Number(_)) => {}
            Symbol::Field(of, name) if *of == attributes.field("headers") => {
                fields.push(format!("header.{}", name.to_ascii_lowercase()));
            }
            Symbol::Field(of, _)
                if *of == attributes.field("uriParams")
                    || *of == attributes.field("queryParams") => {}
            other => {
                let parts = [
                    "requestUri",
                    "requestPath",
                    "rawRequestUri",
                    "rawRequestPath",
                    "queryString",
                ];
                if !parts.iter().any(|part| other == attributes.field(part)) {
                    return (fields, false);
                }
            }
        }
    }
    (fields, true)
}

/// The name of a store; that of the default store is empty.
pub(super) fn store_name(store: Option<&StoreDeclaration>) -> String {
    store.map_or_else(String::new, |store| store.name.to_string())
}
