//! Policies: `http-policy:proxy`, whose chains become sub-flows, and the steps in them.

use fusebox_plan::dialect::{At, Notes, Place, quote};

use super::Lowering;
use super::open::Open;
use crate::app::{App, Compat, Does, MessageKind, Policies, Policy, PolicyStep};
use crate::xml::{self, Attribute, Element, Places};

const PROXY: &str = "http-policy:proxy";
const SOURCE: &str = "http-policy:source";
const OPERATION: &str = "http-policy:operation";
const EXECUTE_NEXT: &str = "http-policy:execute-next";

/// The application behind a policy that stands alone: it passes each request on, and the answer back.
///
/// Its two configurations are addresses of the command line, under the names of the elements that they stand for.
const PASSING: &str = r##"<flow name="proxied">
<http:listener config-ref="http-policy:source" path="/*">
<http:response statusCode="#[attributes.statusCode]" reasonPhrase="#[attributes.reasonPhrase]"><http:headers>#[attributes.headers]</http:headers></http:response>
<http:error-response statusCode="502"/>
</http:listener>
<http:request config-ref="http-policy:execute-next" method="#[attributes.method]" path="#[attributes.rawRequestUri]" followRedirects="false" sendBodyMode="ALWAYS">
<http:headers>#[attributes.headers - 'host']</http:headers>
<http:response-validator><http:success-status-code-validator values="100..599"/></http:response-validator>
</http:request></flow>"##;

/// The listener of a policy that stands alone and never runs `execute-next`.
const ANSWERING: &str =
    r##"<flow name="proxied"><http:listener config-ref="http-policy:source" path="/*"/></flow>"##;

/// A policy as written: the name of the sub-flow that its chain has become.
pub(super) struct Written {
    flow: String,
    is_source: bool,
    propagates: bool,
}

/// Replaces policies by sub-flows, and adds the application behind policies that stand alone.
pub(super) fn take(elements: &mut Vec<Element>, notes: &mut Notes) -> Vec<Written> {
    let mut found = Vec::new();
    let mut rest = Vec::with_capacity(elements.len());
    for element in std::mem::take(elements) {
        match element.is(PROXY) {
            true => proxy(element, &mut found, &mut rest, notes),
            false => rest.push(element),
        }
    }
    let listens = |element: &Element| element.children.iter().any(|it| it.is("http:listener"));
    if let Some(first) = found.iter().find(|it: &&Written| it.is_source)
        && !rest.iter().any(listens)
    {
        let at = rest.iter().find(|it| has_name(it, &first.flow));
        let at = at.map_or(Place::default(), |it| it.at);
        let text = match rest.iter().any(executes_next) {
            true => PASSING,
            false => ANSWERING,
        };
        let parsed = xml::parse(text, at.file, Compat::Strict, notes);
        rest.extend(
            parsed
                .unwrap_or_default()
                .into_iter()
                .map(|it| moved(it, at)),
        );
    }
    *elements = rest;
    found
}

fn proxy(element: Element, found: &mut Vec<Written>, rest: &mut Vec<Element>, notes: &mut Notes) {
    only(&element, &["name"], notes);
    let Some(name) = element.attribute("name").cloned() else {
        let what = format!("{} has no `name`", quote(PROXY));
        return notes.error(element.at, what, "add `name=\"…\"`");
    };
    if element.children.is_empty() {
        let what = "the policy has neither `http-policy:source` nor `http-policy:operation`";
        notes.error(element.at, what, "put its steps into one of them");
    }
    for child in element.children {
        let is_source = child.is(SOURCE);
        if !is_source && !child.is(OPERATION) {
            let what = format!(
                "{} does not belong into {}",
                quote(&child.title()),
                quote(PROXY)
            );
            notes.error(child.at, what, format!("put it into {}", quote(SOURCE)));
            continue;
        }
        const PROPAGATES: &str = "propagateMessageTransformations";
        only(&child, &[PROPAGATES], notes);
        let propagates = child.attribute(PROPAGATES);
        let flow = match is_source {
            true => name.value.value.clone(),
            false => format!("{} (operation)", name.value.value),
        };
        found.push(Written {
            flow: flow.clone(),
            is_source,
            propagates: propagates.is_some_and(|it| it.value.value.trim() == "true"),
        });
        rest.push(Element {
            module: "".into(),
            name: "sub-flow".into(),
            attributes: vec![Attribute {
                value: At::new(flow, name.value.at),
                ..name.clone()
            }],
            ..child
        });
    }
}

/// Refuses attributes besides some.
fn only(element: &Element, known: &[&str], notes: &mut Notes) {
    for attribute in &element.attributes {
        if !known.contains(&&*attribute.name) {
            let (title, name) = (quote(&element.title()), quote(&attribute.name));
            notes.error(
                attribute.at,
                format!("{title} has no attribute {name}"),
                "remove it",
            );
        }
    }
}

fn has_name(element: &Element, name: &str) -> bool {
    element
        .attribute("name")
        .is_some_and(|it| it.value.value == name)
}

fn executes_next(element: &Element) -> bool {
    element.is(EXECUTE_NEXT) || element.children.iter().any(executes_next)
}

/// An element with all its parts at one place.
fn moved(mut element: Element, at: Place) -> Element {
    element.at = at;
    for attribute in &mut element.attributes {
        attribute.at = at;
        attribute.value.at = at;
        attribute.places = Places::default();
        attribute.places.made(0, at);
    }
    if let Some(text) = &mut element.text {
        text.at = at;
        element.text_places = Places::default();
        element.text_places.made(0, at);
    }
    let children = element.children.into_iter();
    element.children = children.map(|child| moved(child, at)).collect();
    element
}

/// The policies of an application, whose flows have been read.
pub(super) fn of(app: &App, written: &[Written]) -> Policies {
    let all = |sources: bool| {
        let these = written.iter().filter(|it| it.is_source == sources);
        let policy = |it: &Written| {
            Some(Policy {
                flow: app.find(&it.flow)?,
                propagates: it.propagates,
            })
        };
        these.filter_map(policy).collect()
    };
    Policies {
        sources: all(true),
        operations: all(false),
    }
}

impl<'a> Lowering<'a> {
    /// Reads a step of a policy.
    pub fn policy_step(&mut self, open: &Open<'a>) -> Option<Does> {
        let step = match open.shape.name {
            EXECUTE_NEXT => {
                if !self.has_policies {
                    let what = "nothing is next: the application has no policy";
                    let mend = "put it into `http-policy:source` of an `http-policy:proxy`";
                    self.error(open.at(), what, mend);
                }
                PolicyStep::ExecuteNext
            }
            "http-transform:remove-headers" => {
                PolicyStep::RemoveHeaders(self.needed_part(open, "http-transform:header-names")?)
            }
            "http-transform:set-response" => PolicyStep::SetResponse {
                status: self.number(open, "statusCode"),
                reason: self.given(open, "reasonPhrase"),
                body: self.given_part(open, "http-transform:body"),
                headers: self.object_part(open, "http-transform:headers"),
            },
            "http-transform:set-requester-request" => PolicyStep::SetRequest {
                path: self.given(open, "requestPath"),
                body: self.given_part(open, "http-transform:body"),
                headers: self.object_part(open, "http-transform:headers"),
                uri_params: self.object_part(open, "http-transform:uri-params"),
                query_params: self.object_part(open, "http-transform:query-params"),
            },
            name => self.added_headers(open, name)?,
        };
        Some(Does::Policy(Box::new(step)))
    }

    fn added_headers(&mut self, open: &Open<'a>, name: &str) -> Option<PolicyStep> {
        let is_request = match name {
            "http-transform:add-headers" | "http-transform:add-headers-list" => {
                self.word(open, "outputType") == Some("request")
            }
            name => name.contains("-request-"),
        };
        let of = match is_request {
            true => MessageKind::Request,
            false => MessageKind::Response,
        };
        if !name.ends_with("-list") {
            let headers = self.needed_part(open, "http-transform:headers")?;
            return Some(PolicyStep::AddHeaders { of, headers });
        }
        let mut headers = Vec::new();
        for list in self.open_parts(open, "http-transform:new-headers") {
            for header in self.open_parts(&list, "http-transform:header") {
                let pair = self.given(&header, "headerName");
                headers.extend(pair.zip(self.given(&header, "headerValue")));
            }
        }
        Some(PolicyStep::AddHeaderList { of, headers })
    }

    /// The value of a part that must be there.
    fn needed_part(&mut self, open: &Open<'a>, name: &'static str) -> Option<crate::app::Given> {
        let given = self.given_part(open, name);
        if given.is_none() {
            let what = format!("{} has no {}", quote(open.shape.name), quote(name));
            self.error(open.at(), what, format!("add `<{name}>#[…]</{name}>`"));
        }
        given
    }
}
