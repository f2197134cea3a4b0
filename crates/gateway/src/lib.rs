//! Carries requests along a plan to upstreams, past a breaker each.
//!
//! The folders are floors: a file uses its own folder and those below it, which a test holds. From the top: `show` (what
//! is seen of a running gateway), `host` (the gateway as a whole), `downstream` (the way in), the guests `flogo` and
//! [`mule`], `request` (one exchange), `live` (a plan as it runs), `upstream` (the way out), `message` (parts of messages)
//! and `ground` (what everything stands on).
//!
//! A request goes down and up again: `accepting` takes its connection, `connection` serves it, `dispatch` has `guard`
//! refuse what is ambiguous and `router` find its route, `forward` asks the breaker through `admission`, `sending` calls
//! the upstream, `call` judges how that went, `response_body` passes the answer on.
//!
//! [`Gateway`] is all that stands outside: it is started from a plan and its stores, reloaded with
//! another plan, looked at, and drained. It knows no file formats and no admin API.

pub mod flogo;
pub mod mule;

mod show;

mod host;

mod downstream;

mod live;

pub mod app;

mod request;

mod upstream;

mod message;

mod ground;

pub use ground::action::Action;
pub use ground::clock::{Clock, Wall};
pub use ground::stores::{Shared, Stores};
pub use host::gateway::{Gateway, GatewayError, Options};
pub use host::membership::{FleetError, FleetShown};
pub use live::changes::{Changes, Names, Reloaded};
pub use live::tls::check_pair;
pub use show::metrics::Exposition;
pub use show::pages::{Listed, Page, PageQuery};
pub use show::status::{BreakerStatus, Calls, Part};

/// What a gateway shows of its fleet.
pub mod fleet {
    pub use fusebox_fleet::{
        FleetCount, FleetStatus, FleetView, Health,
        protocol::{Record, State},
    };
}
