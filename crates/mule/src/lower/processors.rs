//! Chains, and processors without nested ones.

use fusebox_dataweave::MediaType;
use fusebox_plan::dialect::quote;

use super::Lowering;
use super::listen::RESPONSE;
use super::open::Open;
use super::values::text_of;
use crate::app::{
    Chain, Does, ErrorType, Given, LogLevel, Logger, Processor, RaiseError, SetVariable,
};
use crate::xml::Element;

/// Error namespaces that are reserved for their modules.
const MODULES: [&str; 7] = [
    "HTTP",
    "OS",
    "VM",
    "VALIDATION",
    "SCRIPTING",
    "EE",
    "APIKIT",
];

/// The limit of nested chains; only references to handlers can reach it.
const DEPTH_MAX: usize = 80;

impl<'a> Lowering<'a> {
    /// Reads the processors inside an element.
    pub fn chain(&mut self, open: &Open<'a>) -> Chain {
        if self.depth == DEPTH_MAX {
            let what =
                format!("more than {DEPTH_MAX} nested scopes here, through references to handlers");
            self.error(open.at(), what, "let handlers refer to fewer others");
            return Chain::default();
        }
        self.depth += 1;
        let processors = open.processors();
        let chain = processors.flat_map(|element| self.steps(element));
        let chain = Chain(chain.collect());
        self.depth -= 1;
        chain
    }

    /// Reads a processor; an `http:response` among processors is several steps.
    fn steps(&mut self, element: &'a Element) -> Vec<Processor> {
        self.processors += 1;
        let Some(open) = self.open(element) else {
            return Vec::new();
        };
        match open.shape.name {
            RESPONSE => self.respond_here(&open),
            _ => self.processor(open).into_iter().collect(),
        }
    }

    fn processor(&mut self, open: Open<'a>) -> Option<Processor> {
        let element = open.element;
        let does = match open.shape.name {
            "flow-ref" => self.flow_ref(&open),
            "set-variable" => self.set_variable(&open),
            "remove-variable" => self.given(&open, "variableName").map(Does::RemoveVariable),
            "set-payload" => self.set_payload(&open),
            "parse-template" => self.parse_template(&open),
            "logger" => self.logger(&open),
            "raise-error" => self.raise_error(&open),
            "choice" => self.choice(&open),
            "try" => self.try_scope(&open),
            "until-successful" => self.until_successful(&open),
            "foreach" => self.foreach(&open),
            "parallel-foreach" => self.parallel_foreach(&open),
            "scatter-gather" => self.scatter_gather(&open),
            "first-successful" => self.routes(&open, 1).map(Does::FirstSuccessful),
            "round-robin" => self.routes(&open, 1).map(Does::RoundRobin),
            "async" => self.async_scope(&open),
            "ee:transform" => self.transform(&open),
            "ee:cache" => self.cache(&open),
            "ee:invalidate-cache" | "ee:invalidate-key" => self.invalidate(&open),
            "idempotent-message-validator" => self.idempotent(&open),
            "http:request" => self.request(&open),
            "http:load-static-resource" => self.static_resource(&open),
            "apikit:router" => self.router(&open),
            "apikit:console" => self.console(&open),
            "vm:publish" => self.publish(&open).map(Does::Publish),
            "vm:publish-consume" => self.publish_consume(&open),
            "vm:consume" => self.consume(&open),
            "scripting:execute" => self.sleep(&open),
            "http-policy:execute-next" => self.policy_step(&open),
            name if name.starts_with("http-transform:") => self.policy_step(&open),
            name if name.starts_with("validation:") => self.validation(&open),
            _ => self.object_call(&open),
        };
        let mappings = self.mappings(&open);
        Some(Processor {
            site: self.site(element.at),
            does: does?,
            mappings,
        })
    }

    fn set_variable(&mut self, open: &Open<'a>) -> Option<Does> {
        self.encoding(open);
        let name = self.given(open, "variableName");
        let value = self.given(open, "value");
        let media_type = self.media_type(open, "mimeType");
        Some(Does::SetVariable(SetVariable {
            name: name?,
            value: value?,
            media_type,
        }))
    }

    fn set_payload(&mut self, open: &Open<'a>) -> Option<Does> {
        self.encoding(open);
        let value = self.given(open, "value");
        let media_type = self.media_type(open, "mimeType");
        Some(Does::SetPayload {
            value: value?,
            media_type,
        })
    }

    /// Reads a text with expressions, from a file or in its place, which becomes the payload or a variable.
    fn parse_template(&mut self, open: &Open<'a>) -> Option<Does> {
        let inside = self.open_part(open, "content");
        let text = match (inside, &open.element.text) {
            (Some(inside), None) => text_of(inside.element),
            (None, Some(_)) => text_of(open.element),
            (Some(inside), Some(_)) => {
                let what = "the template is given twice";
                self.error(inside.at(), what, "keep `content` or `location`");
                return None;
            }
            (None, None) => {
                let what = "`parse-template` has no template";
                let mend = "add `location=\"page.html\"`, or write it into `<content>`";
                self.error(open.at(), what, mend);
                return None;
            }
        };
        let value = self.given_of(text, true);
        let written = self.media_type(open, "outputMimeType");
        let file = self.written(open, "location").map_or("", |path| path.text);
        let ending = file
            .trim()
            .rsplit_once('.')
            .map_or("", |(_, ending)| ending);
        let media_type = Some(written.unwrap_or_else(|| {
            MediaType::new(match ending {
                "html" | "htm" => "text/html",
                "json" => "application/json",
                "xml" => "application/xml",
                _ => "text/plain",
            })
        }));
        let Some(target) = self.target(open) else {
            return Some(Does::SetPayload { value, media_type });
        };
        if let Some(attribute) = open.attribute("targetValue") {
            let what = "`targetValue` has no effect here: the variable is the text";
            self.warn(attribute.at, what, "remove it");
        }
        Some(Does::SetVariable(SetVariable {
            name: Given::Literal(target.variable),
            value,
            media_type,
        }))
    }

    /// Checks `encoding`: only UTF-8 is supported.
    fn encoding(&mut self, open: &Open<'a>) {
        let Some(encoding) = self.text(open, "encoding") else {
            return;
        };
        if !encoding.text.trim().eq_ignore_ascii_case("UTF-8") {
            let what = format!("the encoding {} is not supported", quote(encoding.text));
            self.wrong(encoding, what, "write `UTF-8`, or remove it");
        }
    }

    fn logger(&mut self, open: &Open<'a>) -> Option<Does> {
        let level = match self.word(open, "level") {
            Some("TRACE") => LogLevel::Trace,
            Some("DEBUG") => LogLevel::Debug,
            Some("WARN") => LogLevel::Warn,
            Some("ERROR") => LogLevel::Error,
            _ => LogLevel::Info,
        };
        let message = self.given(open, "message");
        let category = self.text(open, "category");
        Some(Does::Logger(Logger {
            message,
            level,
            category: category.map(|category| category.text.into()),
        }))
    }

    fn raise_error(&mut self, open: &Open<'a>) -> Option<Does> {
        let description = self.given(open, "description");
        let written = self.text(open, "type")?;
        let kind = self.error_type(written)?;
        let critical = kind.is_a(&ErrorType::new("MULE", "CRITICAL"));
        let mule = &*kind.namespace == "MULE";
        // The namespace of a module that the application does not have is free.
        let reserved = MODULES.contains(&&*kind.namespace) && self.globals.uses(&kind.namespace);
        if reserved || critical {
            let what = format!("{} is reserved for its module", quote(&kind.to_string()));
            let mend = format!("write one of your own, such as `APP:{}`", kind.identifier);
            self.wrong(written, what, mend);
        } else if mule && !kind.is_known() {
            let what = format!("unknown error type {}", quote(&kind.to_string()));
            let mend = match written.text.contains(':') {
                true => "`MULE` is the namespace of Mule's own; write one of yours, such as",
                false => "name its namespace:",
            };
            self.wrong(written, what, format!("{mend} `APP:{}`", kind.identifier));
        }
        Some(Does::RaiseError(RaiseError { kind, description }))
    }
}
