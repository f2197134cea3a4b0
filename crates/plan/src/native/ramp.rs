//! Reads `ramp:`: the return of calls after a close.

use std::time::Duration;

use fusebox_breaker::{Ramp, Ratio};

use crate::diagnostic::{At, Notes, Place, place_of, value_of};
use crate::fields::Fields;

#[derive(Debug)]
pub(super) struct DraftRamp {
    at: Place,
    over: Option<At<Duration>>,
    from: Option<At<Ratio>>,
}

pub(super) fn read_ramp(breaker: &Fields<'_>, notes: &mut Notes) -> Option<DraftRamp> {
    let (_, node) = breaker.get("ramp")?;
    // An ejection's may be a duration alone.
    let ramp = match breaker.map_in("ramp", notes) {
        Some(map) => map?,
        None if breaker.is_either("ramp") => {
            return Some(DraftRamp {
                at: node.at,
                over: Some(breaker.duration("ramp", notes)?),
                from: None,
            });
        }
        None => breaker.section("ramp", notes)?,
    };
    // The only curve so far is the default, but the word is checked.
    ramp.word("curve", notes);
    Some(DraftRamp {
        at: ramp.at,
        over: ramp.duration("over", notes),
        from: ramp.ratio("from", notes),
    })
}

impl DraftRamp {
    pub(super) fn place(&self, key: &str) -> Place {
        let at = match key {
            "over" => place_of(&self.over),
            "from" => place_of(&self.from),
            _ => None,
        };
        at.unwrap_or(self.at)
    }

    /// The ramp; `None` without a valid `over`, which has been reported.
    pub(super) fn check(&self) -> Option<Ramp> {
        let ramp = Ramp::linear(self.over.as_ref()?.value);
        Some(Ramp {
            from: value_of(&self.from).unwrap_or(ramp.from),
            ..ramp
        })
    }
}
