//! The validation module.

use std::sync::Arc;

use fusebox_plan::dialect::quote;

use super::Lowering;
use super::flows::nanos_of;
use super::open::Open;
use crate::app::{Does, Network, Validation, ValidationRule, Validations};

const LIST: &str = "validation:ip-filter-list";

impl<'a> Lowering<'a> {
    /// Reads a processor of `validation:*`.
    pub fn validation(&mut self, open: &Open<'a>) -> Option<Does> {
        let rule = match open.shape.name {
            "validation:all" | "validation:any" => return self.validations(open),
            "validation:is-not-null" => ValidationRule::NotNull(self.given(open, "value")?),
            "validation:is-null" => ValidationRule::Null(self.given(open, "value")?),
            "validation:is-true" => ValidationRule::True(self.given(open, "expression")?),
            "validation:is-false" => ValidationRule::False(self.given(open, "expression")?),
            "validation:is-not-blank-string" => {
                ValidationRule::NotBlank(self.given(open, "value")?)
            }
            "validation:is-blank-string" => ValidationRule::Blank(self.given(open, "value")?),
            "validation:is-not-empty-collection" => {
                ValidationRule::NotEmpty(self.given(open, "values")?)
            }
            "validation:is-empty-collection" => ValidationRule::Empty(self.given(open, "values")?),
            "validation:is-email" => ValidationRule::Email(self.given(open, "email")?),
            "validation:is-url" => ValidationRule::Url(self.given(open, "url")?),
            "validation:is-ip" => ValidationRule::Ip(self.given(open, "ip")?),
            "validation:is-allowed-ip" => self.ip_filter(open, "allowList")?,
            "validation:is-not-denied-ip" => self.ip_filter(open, "denyList")?,
            "validation:is-number" => self.number_rule(open)?,
            "validation:is-time" => ValidationRule::Time {
                value: self.given(open, "time")?,
                pattern: self.given(open, "pattern")?,
            },
            "validation:is-elapsed" | "validation:is-not-elapsed" => {
                let unit = self.word(open, "timeUnit").map(nanos_of);
                ValidationRule::Elapsed {
                    time: self.number(open, "time")?,
                    unit: std::time::Duration::from_nanos(unit?),
                    since: self.given(open, "since")?,
                    elapsed: open.shape.name == "validation:is-elapsed",
                }
            }
            "validation:matches-regex" => ValidationRule::Matches {
                value: self.given(open, "value")?,
                regex: self.given(open, "regex")?,
                case_sensitive: self.truth(open, "caseSensitive"),
            },
            _ => ValidationRule::Size {
                value: self.given(open, "value")?,
                min: self.number(open, "min")?,
                max: self.number(open, "max"),
            },
        };
        Some(Does::Validation(Validation {
            rule,
            message: self.given(open, "message"),
        }))
    }

    /// Reads `validation:all` or `validation:any`, which have nothing but validations.
    fn validations(&mut self, open: &Open<'a>) -> Option<Does> {
        for element in open.processors() {
            if &*element.module != "validation" {
                let quoted = quote(&element.title());
                let what = format!("{quoted} is not allowed in {}", quote(open.shape.name));
                self.error(
                    element.at,
                    what,
                    "put validations into it, and nothing else",
                );
                return None;
            }
        }
        if open.processors().next().is_none() {
            let what = format!("{} has no validations", quote(open.shape.name));
            let mend = "add one, such as `<validation:is-true expression=\"#[…]\"/>`";
            self.error(open.at(), what, mend);
        }
        Some(Does::Validations(Validations {
            all: open.shape.name == "validation:all",
            chain: self.chain(open),
        }))
    }

    fn number_rule(&mut self, open: &Open<'a>) -> Option<ValidationRule> {
        const KINDS: [&str; 5] = ["INTEGER", "LONG", "SHORT", "DOUBLE", "FLOAT"];
        let kind = self.given(open, "numberType")?;
        if let Some(word) = kind.literal()
            && !KINDS.contains(&word.trim())
        {
            let what = format!("`numberType` is {}", quote(word));
            let mend = format!("expected one of {}", KINDS.join(", "));
            if let Some(written) = self.written(open, "numberType") {
                self.wrong(written, what, mend);
            }
        }
        Some(ValidationRule::Number {
            value: self.given(open, "value")?,
            kind,
            min: self.given(open, "minValue"),
            max: self.given(open, "maxValue"),
        })
    }

    fn ip_filter(&mut self, open: &Open<'a>, list: &'static str) -> Option<ValidationRule> {
        let value = self.given(open, "ipAddress");
        let name = self.text(open, list)?;
        let mend = format!(
            "write `<{LIST} name=\"{}\"><validation:ips><validation:ip value=\"10.0.0.0/8\"/></validation:ips></{LIST}>`",
            name.text
        );
        let found = self.known(name, &[LIST], "list of addresses", &mend)?;
        let element = self.open(found)?;
        let mut networks = Vec::new();
        if let Some(ips) = self.open_part(&element, "validation:ips") {
            for ip in self.open_parts(&ips, "validation:ip") {
                let Some(text) = self.text(&ip, "value") else {
                    continue;
                };
                match Network::parse(text.text) {
                    Some(network) => networks.push(network),
                    None => {
                        let what = format!("{} is not an address or network", quote(text.text));
                        self.wrong(text, what, "write one such as `10.0.0.1` or `10.0.0.0/8`");
                    }
                }
            }
        }
        Some(ValidationRule::IpFilter {
            value: value?,
            list: Arc::new(networks),
            allowed: list == "allowList",
        })
    }
}
