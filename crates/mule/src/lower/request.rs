//! Requests: `http:request`, and the rules for error statuses.

use std::sync::Arc;

use fusebox_plan::dialect::quote;
use http::Method;

use super::Lowering;
use super::open::Open;
use crate::app::{
    BasicAuthentication, Does, Given, Request, Requester, SendBody, StaticResource, StatusRange,
    Validator,
};

impl<'a> Lowering<'a> {
    /// Reads an `http:request`.
    pub fn request(&mut self, open: &Open<'a>) -> Option<Does> {
        let config = self.requester_named(open);
        if !open.has("config-ref") && !open.has("url") {
            let what = "the request has neither a configuration nor a URL";
            let mend = "add `config-ref=\"…\"` and bind it, or `url=\"http://…\"`";
            self.error(open.at(), what, mend);
        }
        let hostless = |it: &&Arc<Requester>| it.host.is_empty() && !it.computed.has_server();
        if let Some(config) = config.as_ref().filter(hostless)
            && !open.has("url")
        {
            let name = quote(&config.name);
            let what = format!(
                "the request lacks a `url`, and its configuration {name} a host, so it fails as `HTTP:CONNECTIVITY`"
            );
            let mend = format!(
                "add `host=\"…\"` to its `http:request-connection`, or `--bind {}=http://127.0.0.1:8082`",
                config.name
            );
            self.warn(open.at(), what, mend);
        }
        let path = self.given(open, "path");
        let method = self.given(open, "method");
        self.check_method(open, method.as_ref());
        Some(Does::Request(Box::new(Request {
            config,
            method: method?,
            path: path?,
            url: self.given(open, "url"),
            body: self.given_part(open, "http:body"),
            headers: self.object_part(open, "http:headers"),
            uri_params: self.object_part(open, "http:uri-params"),
            query_params: self.object_part(open, "http:query-params"),
            correlation_id: self.given(open, "correlationId"),
            response_timeout: self.number(open, "responseTimeout"),
            follow_redirects: open
                .has("followRedirects")
                .then(|| self.truth(open, "followRedirects")),
            send_body: self.send_body(open),
            validator: self.validator(open),
            sends_correlation_id: self.sends_correlation_id(open),
            media_type: self.media_type(open, "outputMimeType"),
            target: self.target(open),
        })))
    }

    fn check_method(&mut self, open: &Open<'a>, method: Option<&Given>) {
        let Some(text) = method.and_then(Given::literal) else {
            return;
        };
        if Method::from_bytes(text.as_bytes()).is_err()
            && let Some(written) = self.written(open, "method")
        {
            let what = format!("{} is not a method", quote(text));
            self.wrong(written, what, "write one such as `GET`");
        }
    }

    /// Reads an `http:load-static-resource`.
    pub fn static_resource(&mut self, open: &Open<'a>) -> Option<Does> {
        let base = self.given(open, "resourceBasePath");
        let default_file = self.given(open, "defaultFile");
        let attributes = self.script(open, "attributes");
        let target = self.target(open);
        Some(Does::StaticResource(StaticResource {
            base: base?,
            default_file: default_file?,
            attributes: attributes?,
            target,
        }))
    }

    /// Reads the attribute `sendCorrelationId`; `None`: nothing is said of it.
    pub fn sends_correlation_id(&mut self, open: &Open<'a>) -> Option<bool> {
        match self.word(open, "sendCorrelationId")? {
            "ALWAYS" => Some(true),
            "NEVER" => Some(false),
            _ => None,
        }
    }

    /// Reads the attribute `sendBodyMode`.
    pub fn send_body(&mut self, open: &Open<'a>) -> Option<SendBody> {
        self.word(open, "sendBodyMode").map(|word| match word {
            "ALWAYS" => SendBody::Always,
            "NEVER" => SendBody::Never,
            _ => SendBody::Auto,
        })
    }

    /// Reads the user of a connection's requests.
    pub fn authentication(&mut self, connection: &Open<'a>) -> Option<BasicAuthentication> {
        let open = self.open_part(connection, "http:authentication")?;
        let Some(basic) = self.open_part(&open, "http:basic-authentication") else {
            if open.element.children.is_empty() {
                let what = "`http:authentication` has no way to authenticate";
                let mend =
                    "write `<http:basic-authentication username=\"…\" password=\"…\"/>` into it";
                self.error(open.at(), what, mend);
            }
            return None;
        };
        let username = self.given(&basic, "username");
        let password = self.given(&basic, "password");
        Some(BasicAuthentication {
            preemptive: self.truth(&basic, "preemptive"),
            username: username?,
            password: password?,
        })
    }

    /// Reads the rule for error statuses.
    pub fn validator(&mut self, open: &Open<'a>) -> Option<Validator> {
        let validator = self.open_part(open, "http:response-validator")?;
        let success = self.open_part(&validator, "http:success-status-code-validator");
        let failure = self.open_part(&validator, "http:failure-status-code-validator");
        match (success, failure) {
            (Some(success), None) => self.statuses(&success).map(Validator::Success),
            (None, Some(failure)) => self.statuses(&failure).map(Validator::Failure),
            _ => {
                let what =
                    "`http:response-validator` needs one validator, of successes or of failures";
                let mend = "write `<http:success-status-code-validator values=\"200..299\"/>`";
                self.error(validator.at(), what, mend);
                None
            }
        }
    }

    fn statuses(&mut self, open: &Open<'a>) -> Option<Vec<StatusRange>> {
        let values = self.text(open, "values")?;
        let status = |text: &str| {
            let status: u16 = text.trim().parse().ok()?;
            (status <= 999).then_some(status)
        };
        let range = |part: &str| match part.split_once("..") {
            Some((from, to)) => {
                let (from, to) = (status(from)?, status(to)?);
                (from <= to).then_some(from..=to)
            }
            None => status(part).map(|status| status..=status),
        };
        let mut ranges = Vec::new();
        for part in values.text.split(',') {
            match range(part) {
                Some(range) => ranges.push(range),
                None => {
                    let quoted = quote(part.trim());
                    let what = format!("{quoted} is not a status or a range of statuses");
                    self.wrong(values, what, "write them as `200..299, 304`");
                    return None;
                }
            }
        }
        Some(ranges)
    }
}
