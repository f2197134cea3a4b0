//! The validation module: checks a condition, and describes what does not hold in the module's words.
//!
//! Source: [the Validation module](https://docs.mulesoft.com/validation-connector/latest/).

mod texts;

use std::sync::Arc;

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Fault, MuleError};
use crate::app::{ErrorType, Network, Validation, ValidationRule, Validations};
use crate::jiff::{SignedDuration, Timestamp};
use crate::{Event, Script, Typed, Value};

use texts::{email, grouped, ip, number, url};

/// The scripts that read a text by a pattern, each for one kind of time.
const TIMES: [&str; 5] = [
    "vars.text as LocalDateTime {format: vars.pattern}",
    "vars.text as DateTime {format: vars.pattern}",
    "vars.text as Date {format: vars.pattern}",
    "vars.text as LocalTime {format: vars.pattern}",
    "vars.text as Time {format: vars.pattern}",
];

/// The script that gives a time in milliseconds; one without a zone is in the server's.
const MILLIS: &str = "(vars.since as DateTime) as Number {unit: 'milliseconds'}";

/// A condition that does not hold: the error's identifier, and its description.
type Broken = (&'static str, String);

/// The condition holds, or it does not.
type Checked = Done<Result<(), Broken>>;

impl Run {
    /// Checks a condition; raises its error if it does not hold.
    pub fn validate(&self, at: At<'_>, it: &Validation, event: &Event) -> Done {
        let Err((kind, what)) = self.checked(at, &it.rule, event)? else {
            return Ok(());
        };
        let what = match &it.message {
            Some(message) => self
                .text(at, message, event)?
                .unwrap_or_else(|| what.into()),
            None => what.into(),
        };
        Err(MuleError::of(ErrorType::new("VALIDATION", kind), what).into())
    }

    /// Checks all conditions and makes one error of those that do not hold. Another error ends the scope.
    pub async fn validations(&self, at: At<'_>, it: &Validations, event: Event) -> Ended {
        let validation = ErrorType::new("MULE", "VALIDATION");
        let mut broken = Vec::new();
        for step in &it.chain.0 {
            match self.step(at, step, event.clone()).await {
                Ok(_) => {}
                Err(failure) if failure.error.kind.is_a(&validation) => broken.push(failure.error),
                Err(failure) => return Err(failure),
            }
        }
        let holds = match it.all {
            true => broken.is_empty(),
            false => broken.len() < it.chain.0.len(),
        };
        if holds {
            return Ok(event);
        }
        let told: Vec<&str> = broken.iter().map(|error| &*error.description).collect();
        let mut error = MuleError::new("VALIDATION:MULTIPLE", told.join("\n"));
        error.children = broken;
        Err(Failure::at(at, error.into(), event))
    }

    fn checked(&self, at: At<'_>, rule: &ValidationRule, event: &Event) -> Checked {
        let given = |given| self.given(at, given, event);
        let text = |given| self.text(at, given, event);
        let is = |holds, kind, what: String| match holds {
            true => Ok(Ok(())),
            false => Ok(Err((kind, what))),
        };
        match rule {
            ValidationRule::NotNull(value) => {
                let holds = !given(value)?.read()?.is_null();
                is(holds, "NULL", "value is null".into())
            }
            ValidationRule::Null(value) => {
                let holds = given(value)?.read()?.is_null();
                is(holds, "NOT_NULL", "value was expected to be null".into())
            }
            ValidationRule::True(value) | ValidationRule::False(value) => {
                let wanted = matches!(rule, ValidationRule::True(_));
                let truth = given(value)?.truth()?;
                let what = format!("Value was expected to be {wanted} but it was {truth} instead");
                is(truth == wanted, "INVALID_BOOLEAN", what)
            }
            ValidationRule::NotBlank(value) => match text(value)? {
                None => is(false, "BLANK_STRING", "value is null".into()),
                Some(text) => {
                    let holds = !text.trim().is_empty();
                    is(holds, "BLANK_STRING", "String is blank".into())
                }
            },
            ValidationRule::Blank(value) => {
                let holds = text(value)?.is_none_or(|text| text.trim().is_empty());
                is(holds, "NOT_BLANK_STRING", "String is not blank".into())
            }
            ValidationRule::NotEmpty(value) => match given(value)?.read()? {
                Value::Null => is(false, "EMPTY_COLLECTION", "value is null".into()),
                value => {
                    let holds = size(&value)? > 0;
                    is(holds, "EMPTY_COLLECTION", "Collection is empty".into())
                }
            },
            ValidationRule::Empty(value) => {
                let holds = size(&given(value)?.read()?)? == 0;
                is(
                    holds,
                    "NOT_EMPTY_COLLECTION",
                    "Collection is not empty".into(),
                )
            }
            ValidationRule::Email(value) => {
                let text = text(value)?.unwrap_or_default();
                let what = format!("{text} is not a valid email address");
                is(email(&text), "INVALID_EMAIL", what)
            }
            ValidationRule::Url(value) => {
                let text = text(value)?.unwrap_or_default();
                is(
                    url(&text),
                    "INVALID_URL",
                    format!("{text} is not a valid url"),
                )
            }
            ValidationRule::Ip(value) => {
                let text = text(value)?.unwrap_or_default();
                let what = format!("{text} is not a valid ip address");
                is(text.parse::<std::net::IpAddr>().is_ok(), "INVALID_IP", what)
            }
            ValidationRule::IpFilter {
                value,
                list,
                allowed,
            } => Ok(filter(&text(value)?.unwrap_or_default(), list, *allowed)),
            ValidationRule::Number {
                value,
                kind,
                min,
                max,
            } => {
                let said = text(value)?.unwrap_or_default();
                let kind = text(kind)?.unwrap_or_default();
                let min = min.as_ref().map(text).transpose()?.flatten();
                let max = max.as_ref().map(text).transpose()?.flatten();
                Ok(number(&said, &kind, min, max))
            }
            ValidationRule::Time { value, pattern } => {
                let (value, pattern) = (given(value)?, given(pattern)?);
                self.time(at, value, pattern, event)
            }
            ValidationRule::Elapsed {
                time,
                unit,
                since,
                elapsed,
            } => {
                let count = given(time)?.whole()?;
                let count = i32::try_from(count).unwrap_or(i32::MAX);
                let unit = SignedDuration::try_from(*unit).unwrap_or(SignedDuration::MAX);
                let span = unit.checked_mul(count).unwrap_or(SignedDuration::MAX);
                self.elapsed(at, &given(since)?, span, *elapsed, event)
            }
            ValidationRule::Matches {
                value,
                regex,
                case_sensitive,
            } => {
                let value = text(value)?.unwrap_or_default();
                let regex = text(regex)?.unwrap_or_default();
                let case_sensitive = given(case_sensitive)?.truth()?;
                let holds = Value::matches(&value, &regex, case_sensitive)?;
                let what = format!("{value} is not valid under the terms of regex {regex}");
                is(holds, "MISMATCH", what)
            }
            ValidationRule::Size { value, min, max } => {
                let value = given(value)?.read()?;
                let size = size(&value)?;
                let min = given(min)?.whole()?;
                let max = max.as_ref().map(given).transpose()?;
                let max = max.map(|max| max.whole()).transpose()?;
                let shown = || value.shown().unwrap_or_default();
                if size < min {
                    let (value, min, size) = (shown(), grouped(min), grouped(size));
                    let what = format!(
                        "value {value} was expected to have a size of at least {min} but it only has {size}"
                    );
                    return is(false, "INVALID_SIZE", what);
                }
                let Some(max) = max.filter(|max| size > *max) else {
                    return Ok(Ok(()));
                };
                let (value, max, size) = (shown(), grouped(max), grouped(size));
                let what = format!(
                    "value {value} was expected to have a size of at most {max} but it has {size}"
                );
                is(false, "INVALID_SIZE", what)
            }
        }
    }

    /// Checks that a text is a time by a pattern.
    fn time(&self, at: At<'_>, value: Typed, pattern: Typed, event: &Event) -> Checked {
        let shown = |typed: &Typed| Ok::<_, Fault>(typed.text()?.unwrap_or_default());
        let (text, letters) = (shown(&value)?, shown(&pattern)?);
        let seen = with_vars(
            event,
            [("text", Typed::literal(text.clone())), ("pattern", pattern)],
        );
        let context = self.context(at, &seen);
        let reads = |script: &&str| {
            let script = Script::parse(script).expect("these scripts are ours");
            script.eval(&context).is_ok()
        };
        if TIMES.iter().any(reads) {
            return Ok(Ok(()));
        }
        let what = format!("{text} is not a valid time for the pattern {letters} under locale en");
        Ok(Err(("INVALID_TIME", what)))
    }

    /// Checks that a span of time has passed, or has not.
    fn elapsed(
        &self,
        at: At<'_>,
        since: &Typed,
        span: SignedDuration,
        wanted: bool,
        event: &Event,
    ) -> Checked {
        let seen = with_vars(event, [("since", since.clone())]);
        let script = Script::parse(MILLIS).expect("this script is ours");
        let millis = script.eval(&self.context(at, &seen))?.whole()?;
        let begin = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        let end = begin.checked_add(span).unwrap_or(Timestamp::MAX);
        let now = self.world.now();
        let has = now >= end;
        if has == wanted {
            return Ok(Ok(()));
        }
        let (kind, when) = match wanted {
            true => ("NOT_ELAPSED_TIME", "before"),
            false => ("ELAPSED_TIME", "after"),
        };
        let what = format!("Time {now} occurred {when} {span} from {begin}");
        Ok(Err((kind, what)))
    }
}

/// An event with more variables.
fn with_vars<const N: usize>(event: &Event, more: [(&str, Typed); N]) -> Event {
    let mut event = event.clone();
    for (name, value) in more {
        event.vars.insert(name.into(), value);
    }
    event
}

/// Checks an address against a list of networks.
fn filter(text: &str, list: &Arc<Vec<Network>>, allowed: bool) -> Result<(), Broken> {
    let Some(addr) = ip(text) else {
        return Err(("INVALID_IP", format!("{text} is not a valid ip address")));
    };
    match list.iter().any(|network| network.contains(addr)) == allowed {
        true => Ok(()),
        false => Err(("REJECTED_IP", format!("{text} was rejected by ip filter"))),
    }
}

fn size(value: &Value) -> Done<i64> {
    let size = match value {
        Value::Null => 0,
        Value::String(text) => text.chars().count(),
        Value::Binary(bytes) => bytes.len(),
        Value::Array(array) => array.items().len(),
        Value::Object(object) => object.entries().len(),
        other => {
            let what = format!("a {} has no size", other.kind());
            return Err(MuleError::new("MULE:EXPRESSION", what).into());
        }
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}
