//! Policies: chains around the flows that HTTP requests start, and around the requests that flows make.
//!
//! ([Custom policies](https://docs.mulesoft.com/mule-gateway/policies-custom-mule-4-reference),
//! [transformations](https://docs.mulesoft.com/mule-gateway/policies-custom-http-transform))

use super::{FlowId, Given};

/// The policies of an application, in the order of the files, the outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies {
    /// The policies around flows with an HTTP listener (`http-policy:source`).
    pub sources: Vec<Policy>,
    /// The policies around `http:request` (`http-policy:operation`).
    pub operations: Vec<Policy>,
}

/// A policy: its chain, and how far its changes reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The sub-flow with the policy's chain.
    pub flow: FlowId,
    /// True if changes of the message reach the next policy or flow, or the flow around an operation
    /// (`propagateMessageTransformations`). Default false.
    pub propagates: bool,
}

/// A step that stands in policies alone.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyStep {
    /// The next policy, or the flow or request within (`http-policy:execute-next`).
    ExecuteNext,
    /// Adds header fields to the message (`http-transform:add-…-headers`).
    AddHeaders {
        /// The message whose fields they are.
        of: MessageKind,
        /// An object of fields.
        headers: Given,
    },
    /// Adds header fields to the message, each by a name and a value (`http-transform:add-…-headers-list`).
    AddHeaderList {
        /// The message whose fields they are.
        of: MessageKind,
        /// Names with values.
        headers: Vec<(Given, Given)>,
    },
    /// Removes header fields, by an array of names in any case (`http-transform:remove-headers`).
    RemoveHeaders(Given),
    /// Makes the message a response (`http-transform:set-response`).
    SetResponse {
        /// The status code; `None`: 200, or 500 for an error.
        status: Option<Given>,
        /// The reason phrase; `None`: the standard one of the status.
        reason: Option<Given>,
        /// The body; `None`: empty.
        body: Option<Given>,
        /// The header fields, an object.
        headers: Option<Given>,
    },
    /// Makes the message the request of an operation (`http-transform:set-requester-request`).
    SetRequest {
        /// The path; `None`: the operation's.
        path: Option<Given>,
        /// The body; `None`: empty.
        body: Option<Given>,
        /// The header fields, an object.
        headers: Option<Given>,
        /// The values of `{name}` in the path, an object.
        uri_params: Option<Given>,
        /// The query parameters, an object.
        query_params: Option<Given>,
    },
}

/// A kind of message in a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The message before `execute-next`.
    Request,
    /// The message after `execute-next`.
    Response,
}

impl PolicyStep {
    /// The values of the step.
    pub fn given(&self) -> Vec<&Given> {
        match self {
            PolicyStep::ExecuteNext => Vec::new(),
            PolicyStep::AddHeaders { headers, .. } | PolicyStep::RemoveHeaders(headers) => {
                vec![headers]
            }
            PolicyStep::AddHeaderList { headers, .. } => {
                let pairs = headers.iter();
                pairs.flat_map(|(name, value)| [name, value]).collect()
            }
            PolicyStep::SetResponse {
                status,
                reason,
                body,
                headers,
            } => [status, reason, body, headers]
                .into_iter()
                .flatten()
                .collect(),
            PolicyStep::SetRequest {
                path,
                body,
                headers,
                uri_params,
                query_params,
            } => [path, body, headers, uri_params, query_params]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}
