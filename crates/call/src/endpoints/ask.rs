//! The request facts that a choice depends on.

use fusebox_breaker::Timestamp;

use super::chosen::Chosen;

/// The request for an endpoint, for one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The time of the choice.
    pub now: Timestamp,
    /// True if the attempt may be repeated elsewhere when it fails, so that it may probe an ejected endpoint.
    pub replayable: bool,
    /// The hash of the balancer's text, by [`hash_of`](crate::balance::hash_of); `None` if it has none, and then the
    /// attempts take turns.
    pub hash: Option<u64>,
    /// The endpoints that the call has tried before.
    pub tried: &'a Tried,
    /// The generation of the upstream's breaker, if this attempt probes it: probes of one generation go to different
    /// endpoints, as long as there are some.
    pub upstream_probe: Option<u64>,
}

impl Ask<'_> {
    /// A first attempt that may be repeated, without a text.
    pub fn first(now: Timestamp) -> Ask<'static> {
        Ask {
            now,
            replayable: true,
            hash: None,
            tried: &Tried::NONE,
            upstream_probe: None,
        }
    }
}

/// The most endpoints that a call remembers.
const MOST: usize = 10;

/// The endpoints that one call has tried, at most 10.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    ids: [u32; MOST],
    len: usize,
}

impl Tried {
    /// None tried yet.
    pub const NONE: Tried = Tried {
        ids: [0; MOST],
        len: 0,
    };

    /// Adds the endpoint of an attempt. An eleventh is forgotten.
    pub fn add(&mut self, chosen: &Chosen) {
        self.add_id(chosen.id());
    }

    /// Adds an endpoint by its number, and says whether there was room.
    pub(super) fn add_id(&mut self, id: u32) -> bool {
        let room = self.ids.get_mut(self.len);
        let has_room = room.is_some();
        if let Some(room) = room {
            *room = id;
            self.len += 1;
        }
        has_room
    }

    /// True if no endpoint was tried.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if the endpoint of that number was tried.
    #[inline]
    pub fn has(&self, id: u32) -> bool {
        self.ids[..self.len].contains(&id)
    }
}
