//! Carries requests along a plan to upstreams, past a breaker each.
//!
//! The life of a request: a `worker` accepts its connection, `connection` serves it, `guard`
//! refuses what is ambiguous, `router` finds its route, `exchange` runs the route's steps,
//! `forward` asks the breaker, `sending` calls the upstream, `call` judges how that went,
//! `response_body` passes the answer on. The handlers of a Flogo application are run by `flogo`, the
//! flows of a Mule application by [`mule`].
//!
//! [`Gateway`] is all that stands outside: it is started from a plan and its stores, reloaded with
//! another plan, looked at, and drained. It knows no file formats and no admin API.

mod changes;
mod gateway;
mod live;
mod shared;
mod worker;

mod chunks;
mod connection;
mod exchange;
mod forward;
mod guard;
mod handshake;
mod heads;
mod interim;
mod linger;
mod marks;
mod refusal;
mod router;
mod serving;
mod socket;
mod target;
mod transport;

mod flogo;

pub mod mule;

mod admission;
mod answer;
mod body;
mod call;
mod fields;
mod location;
mod offer;
mod outgoing;
mod outlive;
mod proxy_words;
mod request_body;
mod response_body;
mod retry_after;
mod sending;
mod stall;
mod tunnel;
mod whole_body;

mod breakers;
mod ears;
mod membership;
mod stores;

mod connect;
mod key_metrics;
mod listen;
mod pool;
mod probe_line;
mod probe_place;
mod sender;
mod tls;
mod upstream_errors;
mod upstream_socket;

mod announcer;
mod clock;
mod measures;
mod meter;
mod metrics;
mod pages;
mod pulse;
mod record;
mod records;
mod status;

pub use changes::{Changes, Names};
pub use clock::{Clock, Wall};
pub use gateway::{Gateway, GatewayError, Options, Reloaded};
pub use membership::{FleetError, FleetShown};
pub use metrics::Exposition;
pub use pages::{Listed, Page, PageQuery};
pub use status::{Action, BreakerStatus, Calls, Part};
pub use stores::{Shared, Stores};
pub use tls::check_pair;

/// What a gateway shows of its fleet.
pub mod fleet {
    pub use fusebox_fleet::{
        FleetCount, FleetStatus, FleetView, Health,
        protocol::{Record, State},
    };
}
