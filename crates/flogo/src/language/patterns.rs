//! The patterns that Flogo's microgateway brings along, under their names.

/// Their names.
pub(crate) const NAMES: [&str; 2] = ["DefaultHttpPattern", "DefaultChannelPattern"];

/// The definition of a pattern.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    match name {
        "DefaultHttpPattern" => Some(include_str!("patterns/http.json")),
        "DefaultChannelPattern" => Some(include_str!("patterns/channel.json")),
        _ => None,
    }
}
