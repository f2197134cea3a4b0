//! Processors that set, check or log values, publish them, or sleep.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{At, Run};
use super::error::{Done, Fault, Message, MuleError};
use super::outside::Line;
use super::secrets;
use crate::app::{Given, LogLevel, Logger, RaiseError, SetVariable, Sleep, Target, Transform};
use crate::{Event, MediaType, Script, Typed, Value};

impl Run {
    /// Evaluates an attribute.
    pub fn given(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Typed> {
        match given {
            // Most attributes are literals, which need no context.
            Given::Literal(text) => Ok(Typed::literal(text.clone())),
            _ => Ok(given.eval(&self.context(at, event))?),
        }
    }

    /// Evaluates an attribute to a text; `None` stands for null.
    pub fn text(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Option<Arc<str>>> {
        match given {
            Given::Literal(text) => Ok(Some(text.clone())),
            _ => Ok(self.given(at, given, event)?.text()?),
        }
    }

    /// Delivers a result: into the message, or else into the target variable.
    pub fn deliver(
        &self,
        at: At<'_>,
        target: Option<&Target>,
        event: &mut Event,
        result: Message,
    ) -> Done {
        let Some(target) = target else {
            event.payload = result.payload;
            event.attributes = result.attributes;
            return Ok(());
        };
        let value = match &target.value {
            None => result.payload,
            Some(script) => {
                let seen = Event {
                    payload: result.payload,
                    attributes: result.attributes,
                    ..event.clone()
                };
                script.eval(&self.context(at, &seen))?
            }
        };
        event.vars.insert(target.variable.clone(), value);
        Ok(())
    }

    fn name(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Arc<str>> {
        let name = self.text(at, given, event)?;
        name.filter(|name| !name.trim().is_empty()).ok_or_else(|| {
            let what = "the name of a variable is null or blank; give it one";
            MuleError::new("MULE:EXPRESSION", what).into()
        })
    }

    pub fn set_variable(&self, at: At<'_>, it: &SetVariable, event: &mut Event) -> Done {
        let name = self.name(at, &it.name, event)?;
        let value = self.given(at, &it.value, event)?;
        let value = called(value, it.media_type.as_ref());
        event.vars.insert(name, value);
        Ok(())
    }

    pub fn remove_variable(&self, at: At<'_>, name: &Given, event: &mut Event) -> Done {
        let name = self.name(at, name, event)?;
        event.vars.remove(&name);
        Ok(())
    }

    pub fn set_payload(
        &self,
        at: At<'_>,
        value: &Given,
        media_type: Option<&MediaType>,
        event: &mut Event,
    ) -> Done {
        event.payload = called(self.given(at, value, event)?, media_type);
        Ok(())
    }

    /// Runs `ee:transform`; all parts see the incoming event.
    pub fn transform(&self, at: At<'_>, it: &Transform, event: &mut Event) -> Done {
        let context = self.context(at, event);
        let eval =
            |script: &Option<Script>| script.as_ref().map(|it| it.eval(&context)).transpose();
        let payload = eval(&it.payload)?;
        let attributes = eval(&it.attributes)?.map(|it| it.read()).transpose()?;
        let mut variables = Vec::with_capacity(it.variables.len());
        for (name, script) in &it.variables {
            variables.push((self.name(at, name, event)?, script.eval(&context)?));
        }
        if let Some(payload) = payload {
            event.payload = payload;
        }
        if let Some(attributes) = attributes {
            event.attributes = attributes;
        }
        event.vars.extend(variables);
        Ok(())
    }

    pub fn logger(&self, at: At<'_>, it: &Logger, event: &Event) -> Done {
        let message = match &it.message {
            Some(given) => self.given(at, given, event)?.shown()?,
            None => whole(event),
        };
        self.world.log(&Line {
            level: it.level,
            message: &secrets::hidden(&self.engine.app, &message),
            site: at.site,
            flow: at.flow,
            category: it.category.as_deref(),
            correlation_id: &event.correlation_id,
        });
        Ok(())
    }

    /// The error that a `raise-error` raises.
    pub fn raised(&self, at: At<'_>, it: &RaiseError, event: &Event) -> Done<Fault> {
        let description = match &it.description {
            Some(given) => self.text(at, given, event)?,
            None => Some("An error occurred.".into()),
        };
        let description = description.unwrap_or_else(|| "null".into());
        Ok(MuleError::of(it.kind.clone(), description).into())
    }

    pub async fn sleep(&self, it: &Sleep, event: &mut Event) -> Done {
        let wait = match it {
            Sleep::Fixed(wait) => *wait,
            Sleep::Variable { name, times } => {
                let value = event.vars.get(name);
                let value = value.map_or(Ok(Value::Null), Typed::read)?;
                Duration::from_millis(millis(&value, *times).ok_or_else(|| {
                    let shown = value.shown().unwrap_or_default();
                    let what = format!("vars.{name} is not a number of milliseconds: {shown}");
                    MuleError::new("SCRIPTING:EXECUTION", what)
                })?)
            }
        };
        tokio::time::sleep(wait).await;
        // The script's value, null, becomes the message.
        event.payload = Typed::java(Value::Null);
        event.attributes = Value::Null;
        Ok(())
    }

    /// Logs a warning of the gateway itself.
    pub fn warn(&self, at: At<'_>, event: &Event, message: &str) {
        self.log(at, LogLevel::Warn, event, message);
    }
}

/// A message as a log shows it; binary data is shown as its number of bytes.
fn whole(event: &Event) -> String {
    let payload = event
        .payload
        .shown()
        .unwrap_or_else(|_| match &event.payload.value {
            Value::Binary(bytes) => format!("{} bytes", bytes.len()),
            other => format!("a {}", other.kind()),
        });
    let attributes = event.attributes.shown().unwrap_or_default();
    format!("payload: {payload}, attributes: {attributes}")
}

/// A value with another media type, if one is given.
fn called(value: Typed, media_type: Option<&MediaType>) -> Typed {
    Typed {
        media_type: media_type.cloned().unwrap_or(value.media_type),
        value: value.value,
    }
}

/// The milliseconds that a script sleeps, with the value converted to a whole number as Groovy does.
fn millis(value: &Value, times: u64) -> Option<u64> {
    let whole = match value {
        Value::Number(number) => match number.to_i64() {
            Some(whole) => whole,
            None => number.to_string().split('.').next()?.parse().ok()?,
        },
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    u64::try_from(whole).ok()?.checked_mul(times)
}
