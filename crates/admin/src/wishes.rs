//! The choice of events that a listener makes, in its query.

use fusebox_gateway::Event;

use crate::event_view::{breaker, kind};
use crate::problem::Problem;

/// The types of events that a client can ask for. A gap and a reset are always said.
pub const TYPES: [&str; 9] = [
    "transition",
    "hold",
    "reload",
    "store",
    "ejection",
    "health",
    "pulse",
    "reset",
    "gap",
];

/// The wishes of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The types of events; `None`: all.
    pub types: Option<Vec<String>>,
    /// The breaker's name; `None`: all events, also those about no breaker.
    pub breaker: Option<String>,
    /// True if it wants the rates every second.
    pub pulses: bool,
}

impl Wishes {
    /// True if an event is wanted.
    pub fn include(&self, event: &Event) -> bool {
        let (kind, about) = (kind(&event.news), breaker(&event.news));
        let types = self.types.as_ref();
        types.is_none_or(|types| types.iter().any(|it| it == kind))
            && self.breaker.as_deref().is_none_or(|it| about == Some(it))
    }

    /// The wishes of the query parameters `pulse`, `type` and `breaker`.
    ///
    /// # Errors
    /// 400 for a word that is not known.
    pub fn read(
        pulse: Option<&str>,
        types: Option<&str>,
        breaker: Option<&str>,
    ) -> Result<Wishes, Problem> {
        let pulses = match pulse {
            None => false,
            Some("1s") => true,
            Some(other) => {
                return Err(Problem::bad_request(format!(
                    "unknown pulse `{other}`; expected 1s"
                )));
            }
        };
        let types = types.map(|types| types.split(',').map(str::to_owned));
        let types: Option<Vec<_>> = types.map(Iterator::collect);
        let mut unknown = types.iter().flatten();
        if let Some(other) = unknown.find(|it| !TYPES.contains(&it.as_str())) {
            return Err(Problem::bad_request(format!(
                "unknown type `{other}`; expected {}",
                TYPES.join(", ")
            )));
        }
        Ok(Wishes {
            types,
            breaker: breaker.map(str::to_owned),
            pulses,
        })
    }
}
