//! The rules of a listener for the scripts of other origins: `http:cors-interceptor`.
//!
//! Source: [CORS as an interceptor](https://docs.mulesoft.com/api-manager/cors-mule4).

use fusebox_plan::dialect::quote;
use http::{HeaderName, Method};

use super::Lowering;
use super::open::Open;
use crate::app::{Cors, Origin, Origins};

impl<'a> Lowering<'a> {
    /// Reads the interceptors of a listener's configuration.
    pub fn cors(&mut self, config: &Open<'a>) -> Option<Cors> {
        let interceptors = self.open_part(config, "http:listener-interceptors")?;
        let open = self.open_part(&interceptors, "http:cors-interceptor")?;
        let credentials = self.flag(&open, "allowCredentials") == Some(true);
        let mend = "write `<http:origins><http:public-resource/></http:origins>`, or an `http:origin` for each";
        let Some(origins) = self.open_part(&open, "http:origins") else {
            self.error(
                open.at(),
                "`http:cors-interceptor` has no `http:origins`",
                mend,
            );
            return None;
        };
        let public = self.open_part(&origins, "http:public-resource");
        let these: Vec<Open<'a>> = self.open_parts(&origins, "http:origin");
        let origins = match (public, these.as_slice()) {
            (None, []) => {
                self.error(origins.at(), "`http:origins` lets no origin in", mend);
                return None;
            }
            (Some(public), [_, ..]) => {
                let what = "`http:public-resource` lets every origin in, and there are others";
                self.error(public.at(), what, "keep one of the two");
                return None;
            }
            (Some(_), []) => Origins::Public,
            (None, these) => {
                let these = these.iter();
                Origins::These(these.filter_map(|open| self.origin(open)).collect())
            }
        };
        Some(Cors {
            credentials,
            origins,
        })
    }

    fn origin(&mut self, open: &Open<'a>) -> Option<Origin> {
        let url = self.text(open, "url");
        let max_age = self.whole(open, "accessControlMaxAge");
        let mut methods = Vec::new();
        if let Some(allowed) = self.open_part(open, "http:allowed-methods") {
            for method in self.open_parts(&allowed, "http:method") {
                let Some(name) = self.text(&method, "methodName") else {
                    continue;
                };
                match Method::from_bytes(name.text.trim().to_ascii_uppercase().as_bytes()) {
                    Ok(method) => methods.push(method),
                    Err(_) => {
                        let what = format!("{} is not a method", quote(name.text));
                        self.wrong(name, what, "write one such as `GET`");
                    }
                }
            }
        }
        let url = url?;
        Some(Origin {
            url: url.text.trim().trim_end_matches('/').to_owned(),
            max_age: u64::try_from(max_age?).ok()?,
            methods,
            headers: self.field_names(open, "http:allowed-headers"),
            exposed: self.field_names(open, "http:expose-headers"),
        })
    }

    fn field_names(&mut self, open: &Open<'a>, part: &'static str) -> Vec<HeaderName> {
        let Some(part) = self.open_part(open, part) else {
            return Vec::new();
        };
        let mut names = Vec::new();
        for field in self.open_parts(&part, "http:header") {
            let Some(name) = self.text(&field, "headerName") else {
                continue;
            };
            match HeaderName::from_bytes(name.text.trim().as_bytes()) {
                Ok(name) => names.push(name),
                Err(_) => {
                    let what = format!("{} is not a header name", quote(name.text));
                    self.wrong(name, what, "write one such as `X-Request-Id`");
                }
            }
        }
        names
    }
}
