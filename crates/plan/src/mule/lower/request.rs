//! Requests to others: `http:request`.

use http::Method;

use super::Lowering;
use super::open::Open;
use crate::diagnostic::quote;
use crate::mule::app::{Does, Given, Request};

impl<'a> Lowering<'a> {
    /// A request.
    pub fn request(&mut self, open: &Open<'a>) -> Option<Does> {
        let config = match open.has("config-ref") {
            true => self.requester_named(open),
            false => None,
        };
        if !open.has("config-ref") && !open.has("url") {
            self.notes.error(
                open.at(),
                "the request names neither a configuration nor an address",
                "add `config-ref=\"…\"` and bind it, or `url=\"http://…\"`",
            );
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
            response_timeout: self.number(open, "responseTimeout"),
            follow_redirects: self.flag(open, "followRedirects"),
            send_body: self.send_body(open),
            validator: self.validator(open),
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
            let what = format!("{} is no method", quote(text));
            self.wrong(written, what, "write one such as `GET`");
        }
    }
}
