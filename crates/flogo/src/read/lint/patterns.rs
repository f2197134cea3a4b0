//! Settings of an action of `DefaultHttpPattern`: those with which it checks no token rightly, or never calls.

use super::services::{HMAC, VAIN, is_vain};
use crate::Value;
use crate::read::actions::BuiltAction;
use crate::read::reader::Reader;
use fusebox_plan::dialect::{Place, quote, suggest};

/// The methods with which the pattern calls.
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "PATCH"];

/// Warns of the slips in the settings of an action of `DefaultHttpPattern`.
pub(super) fn http(built: &BuiltAction, reader: &mut Reader<'_>) {
    let Value::Object(conf) = &built.action.conf else {
        return;
    };
    let start = built.conf.first().map(|(_, at)| *at).unwrap_or_default();
    let place = |key: &str| -> Place {
        let mut names = built.conf.iter();
        names.find(|(name, _)| name == key).map_or(start, |it| it.1)
    };
    let text = |key: &str| match conf.get(key) {
        Some(Value::Str(text)) => Some(&**text),
        _ => None,
    };
    match conf.get("useJWT") {
        Some(Value::Bool(true)) => {
            if let Some(method) = text("jwtSigningMethod").filter(|method| is_vain(method)) {
                let what = format!("with the signing method {} {VAIN}", quote(method));
                let mend = HMAC.replace("signingMethod", "jwtSigningMethod");
                reader.notes.warn(place("jwtSigningMethod"), what, mend);
            }
            let key = conf.get("jwtKey");
            if matches!(key, None | Some(Value::Null)) || text("jwtKey") == Some("") {
                let what =
                    "without a `jwtKey` every token that is signed with an empty key is valid";
                let at = place(if key.is_some() { "jwtKey" } else { "useJWT" });
                reader
                    .notes
                    .warn(at, what, "add `\"jwtKey\"` to the settings");
            }
        }
        Some(Value::Bool(false)) => {}
        _ => {
            let what = "`useJWT` is neither true nor false, so the backend is never called: every request is answered 400";
            let mend = "write `\"useJWT\": false`, or true";
            reader.notes.warn(place("useJWT"), what, mend);
        }
    }
    if let Some(method) = text("method").filter(|method| !METHODS.contains(method)) {
        let what = format!(
            "with the method {} the backend is never called: every request is answered 400",
            quote(method)
        );
        reader
            .notes
            .warn(place("method"), what, suggest(method, METHODS));
    }
}
