//! Calls on virtual time: the table of calls, and fleets of gateways under load with an outage.
//!
//! # What is real
//! The upstream's breaker, the attempts with their budget, and the endpoints with their breakers, balancer and ejection:
//! the same code that a gateway runs. A call asks its breaker, begins its attempts, chooses an endpoint for each, and
//! tells both breakers of their ends in the gateway's order.
//!
//! # What is modelled
//! - Time: a heap of events, so that an hour costs nothing, and a seed gives the same run again.
//! - Calls: GETs without a body, at random times (Poisson) or one by one. Their clients wait to the end.
//! - Gateways: independent of each other, without a shared breaker, one thread each.
//! - Servers: a number of workers and a queue without bound. Work takes half of its mean to one and a half. A server does
//!   not know that an attempt was given up, and works on for it; that is what makes an overload stay.
//! - Outages: a server answers 503 within a millisecond, or it begins no work and answers nothing.
//!
//! Left out: connections and their errors, bulkheads, hedges, health checks, the ladder (which moves no number but the
//! client's answer), and `Retry-After`.
//!
//! # Measured
//! Five gateways with 60 calls a second each; three servers that can do 200 a second each; retry with three attempts of
//! 500 ms and the default budget; default breakers with a cooldown and a ramp of 5 s; three seeds:
//!
//! | outage of 30 s | attempts meanwhile, of 9,000 calls | after it |
//! |---|---|---|
//! | all servers answer 503 | 116 to 120 | all calls served from the sixth second on, without a retry |
//! | all servers stall | 959 to 1,026, nearly all in the two seconds until the breakers open | the same from the tenth second on |
//! | one server answers 503, or stalls | 30, or 67 to 85 retries in all | no client has noticed it at any time |
//! | all servers stall, no budget and no breaker | three a call | it never ends: three attempts a call, and no answer in time |
#![allow(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod parts;
mod storm;
mod table;
mod world;
