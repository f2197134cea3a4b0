//! The patterns that are part of Flogo's microgateway, by name.

/// The patterns, each with its definition as JSON.
pub(crate) const PATTERNS: [(&str, &str); 2] = [
    ("DefaultHttpPattern", include_str!("patterns/http.json")),
    (
        "DefaultChannelPattern",
        include_str!("patterns/channel.json"),
    ),
];
