//! Error handling.
//!
//! The first handler that accepts an error runs, on the event as the failing processor left it, with `error` set.
//! `on-error-continue` makes its event the scope's result; `on-error-propagate` raises the same error again, with
//! its own event; an error inside a handler replaces the original one. Afterwards `error` is restored to its value
//! outside the scope.
//! ([Error handlers](https://docs.mulesoft.com/mule-runtime/latest/error-handling))

use std::mem;

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure};
use crate::app::{Chain, Handler, Handlers, LogLevel};
use crate::{Event, Value};

impl Run {
    /// Runs a chain, and the handler of its error.
    pub async fn with_handlers(
        &self,
        at: At<'_>,
        chain: &Chain,
        handlers: Option<&Handlers>,
        event: Event,
    ) -> Ended {
        let ended = self.chain(at, chain, event).await;
        self.handled(at, ended, handlers).await
    }

    /// Runs the handler of an error.
    pub async fn handled(&self, at: At<'_>, ended: Ended, handlers: Option<&Handlers>) -> Ended {
        match (ended, handlers) {
            (Err(failure), Some(handlers)) => Box::pin(self.handle(at, handlers, failure)).await,
            (ended, _) => ended,
        }
    }

    async fn handle(&self, at: At<'_>, handlers: &Handlers, mut failure: Box<Failure>) -> Ended {
        if failure.error.is_critical() {
            return Err(failure);
        }
        let outer = mem::replace(&mut failure.event.error, failure.error.value());
        let failed = |mut failure: Box<Failure>| {
            failure.event.error = outer.clone();
            Err(failure)
        };
        let handler = match self.accepting(at, handlers, &failure.error, &failure.event) {
            Ok(Some(handler)) => handler,
            Ok(None) => return failed(failure),
            Err(fault) => {
                failure.error = (*fault).into();
                failure.logged = false;
                return failed(failure);
            }
        };
        let at = At {
            site: &handler.site,
            ..at
        };
        if handler.logs && !failure.logged {
            self.log_error(at, &failure);
        }
        let event = mem::take(&mut failure.event);
        match self.chain(at, &handler.chain, event).await {
            Err(inner) => failed(inner),
            Ok(mut event) if handler.continues => {
                // Mule also clears the error of an enclosing handler.
                event.error = if self.is_intent() { outer } else { Value::Null };
                Ok(event)
            }
            Ok(event) => {
                (failure.event, failure.logged) = (event, true);
                failed(failure)
            }
        }
    }

    fn accepting<'a>(
        &self,
        at: At<'_>,
        handlers: &'a Handlers,
        error: &super::MuleError,
        event: &Event,
    ) -> Done<Option<&'a Handler>> {
        for handler in &handlers.0 {
            let types = &handler.types;
            if !types.is_empty() && !types.iter().any(|pattern| error.is_matched_by(pattern)) {
                continue;
            }
            let holds = match &handler.when {
                Some(when) => when.eval(&self.context(at, event))?.truth()?,
                None => true,
            };
            if !holds {
                continue;
            }
            if !types.is_empty() && !types.iter().any(|pattern| pattern.matches(&error.kind)) {
                let message = format!(
                    "{} is handled in line {} by a handler for its underlying error",
                    error.kind, handler.site.line
                );
                self.log(at, LogLevel::Warn, event, &message);
            }
            return Ok(Some(handler));
        }
        Ok(None)
    }

    /// Logs an error at the position where it was raised.
    pub fn log_error(&self, at: At<'_>, failure: &Failure) {
        let error = &failure.error;
        let at = At {
            site: error.site.as_ref().unwrap_or(at.site),
            ..at
        };
        let message = format!("{}: {}", error.kind, error.description);
        self.log(at, LogLevel::Error, &failure.event, &message);
    }
}
