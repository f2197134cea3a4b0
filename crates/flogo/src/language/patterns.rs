//! The patterns that are part of Flogo's microgateway, by name.

/// The names of all patterns.
pub(crate) const NAMES: [&str; 2] = ["DefaultHttpPattern", "DefaultChannelPattern"];

/// The definition of a pattern, as JSON.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    match name {
        "DefaultHttpPattern" => Some(include_str!("patterns/http.json")),
        "DefaultChannelPattern" => Some(include_str!("patterns/channel.json")),
        _ => None,
    }
}
