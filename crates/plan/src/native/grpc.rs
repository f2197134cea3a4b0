//! Reads statuses of gRPC, by number or by name, and the `grpc:` section of an upstream.

use fusebox_call::GrpcCodes;
use fusebox_call::grpc::{NAMES, code_named};

use super::draft::Reader;
use crate::diagnostic::{Notes, nearest, quote};
use crate::fields::{self, Fields};
use crate::keys;
use crate::tree::Node;

/// The expected form of a status, in messages.
const STATUS: &str = "a gRPC status from 1 to 16, or its name such as `UNAVAILABLE`";

impl Reader<'_> {
    /// `grpc.failure`; `None` without the key, and for one that could not be read.
    pub(super) fn grpc(&mut self, upstream: &Fields<'_>) -> Option<GrpcCodes> {
        let (_, node) = upstream.get("grpc")?;
        let grpc = Fields::open(node, &keys::GRPC, self.notes)?;
        let (_, list) = grpc.get("failure")?;
        let items = fields::items(list, "failure", self.notes)?;
        let codes = items.iter().filter_map(|item| read_code(item, self.notes));
        Some(codes.fold(GrpcCodes::default(), GrpcCodes::with))
    }
}

fn read_code(item: &Node, notes: &mut Notes) -> Option<u8> {
    let scalar = fields::scalar(item, "failure", STATUS, notes)?;
    let text = scalar.text.trim();
    let code = text.parse().ok().or_else(|| code_named(text));
    match code {
        Some(0) => fields::refuse(
            item.at,
            scalar,
            "`failure` has the gRPC status 0, OK, which every good call has".to_owned(),
            "remove it, or write an expression in `breaker.failure`".to_owned(),
            notes,
        ),
        Some(code) if usize::from(code) < NAMES.len() => Some(code),
        _ => fields::wrong(item, "failure", STATUS, mend(text), notes),
    }
}

/// The mend of a text that is no status.
pub(super) fn mend(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    match nearest(&upper, NAMES) {
        Some(near) => format!("did you mean {}?", quote(near)),
        None => "the statuses are numbered from 0, OK, to 16, UNAUTHENTICATED".to_owned(),
    }
}
