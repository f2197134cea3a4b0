//! Carries requests along a plan to upstreams, with a circuit breaker before each.
//!
//! The folders are floors: a file uses its own folder and those below it, which a test enforces. From the top: `show`
//! (the view of a running gateway), `host` (the gateway as a whole), `downstream` (the way in), `live` (a plan as it
//! runs), [`app`] (the port for applications of other dialects), `request` (one exchange), `upstream` (the way out),
//! `message` (parts of messages) and `ground` (the clock, counters, sockets).
//!
//! A request goes down and up again: `accepting` takes its connection, `connection` serves it, `dispatch` has
//! `validate` refuse ambiguous requests and `router` find the route, `forward` asks the breaker through `admission`,
//! `sending` calls the upstream, `call` judges the result, `response_body` passes the answer on.
//!
//! [`Gateway`] is the whole surface: it is started from a plan and its stores, reloaded with another plan, inspected,
//! and drained. It knows no file formats and no admin API.

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
pub use ground::certificate::facts as certificate_facts;
pub use ground::clock::{Clock, Wall};
pub use ground::key_pair::check_pair;
pub use ground::series::{Rates, Series};
pub use ground::stores::{Shared, Stores};
pub use host::gateway::Gateway;
pub use host::membership::{FleetError, FleetShown};
pub use host::options::{GatewayError, Options};
pub use live::changes::{Changes, Names, Reloaded};
pub use show::calls::{CallAnswer, CallError, CallRefusal, Counted, ReportedCall};
pub use show::metrics::Exposition;
pub use show::overview::{FleetOverview, Overview};
pub use show::pages::{Listed, Page, PageQuery};
pub use show::ranking::{Rank, Ranking, StateCounts};
pub use show::sampling::{BreakerPulse, Sampler};
pub use show::status::{BreakerStatus, Calls, Part};
pub use show::upstreams::{
    BulkheadStatus, EndpointStatus, FallbackCounts, LastGoodStatus, UpstreamStatus,
};
pub use upstream::breakers::BreakerKind;
pub use upstream::events::{EVENTS_MAX, Event, Events, News, ReloadResult, Rest};
pub use upstream::last_failures::{FailedCall, RequestId};

/// The parts of the host that an application of another dialect is built of.
pub mod parts {
    pub use crate::ground::clock::{Clock, WorkerRef};
    pub use crate::ground::stores::StoreHandle;
    pub use crate::message::body::Body;
    pub use crate::message::field_kinds::is_fusebox_word;
    pub use crate::message::fields::{self, is_framing};
    pub use crate::request::exchange::{Exchange, Finish, done, unread};
    pub use crate::request::outlive::Outliving;
    pub use crate::request::worker::Worker;
    pub use crate::request::{answer, whole_body};
    pub use crate::upstream::answer_body::WireError;
    pub use crate::upstream::breakers::{BreakerExtras, BreakerKind, LiveBreaker};
    pub use crate::upstream::connect::{NoConnection, Unconnected};
    pub use crate::upstream::fetch::{Fault, NO_LIMIT, NoAnswer, Outbound, Policy, Refusal, fetch};
    pub use crate::upstream::jar::Jar;
    pub use crate::upstream::last_failures::FailedCall;
    pub use crate::upstream::live_upstream::LiveUpstream;
    pub use crate::upstream::own_trust::OwnTrust;
    pub use crate::upstream::pool::{Pool, Pools, is_idempotent};
    pub use crate::upstream::redirect::Redirects;
    pub use crate::upstream::sending::{Cut, Repeat};
    pub use crate::upstream::trust::{Trust, system_roots};
    pub use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};
}

/// The types of a gateway's view of its fleet.
pub mod fleet {
    pub use fusebox_fleet::{
        FleetCount, FleetStatus, FleetView, Health,
        protocol::{Record, State},
    };
}
