//! The enterprise module: `ee:transform` and `ee:cache`.

use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::dialect::quote;

use super::Lowering;
use super::objects::STORE;
use super::open::Open;
use super::values::{Written, text_of};
use crate::app::{Cache, CacheKey, Does, Given, Invalidate, StoreDeclaration, Transform};
use crate::xml::Element;

const MESSAGE: &str = "ee:message";
const VARIABLES: &str = "ee:variables";

const STRATEGY: &str = "ee:object-store-caching-strategy";

/// The bounds of the cache of a strategy without a store, which protect the memory.
const CACHED_FOR: Duration = Duration::from_secs(600);
const CACHED_MAX: u64 = 4096;

impl<'a> Lowering<'a> {
    /// Reads an `ee:transform`.
    pub fn transform(&mut self, open: &Open<'a>) -> Option<Does> {
        let mut transform = Transform::default();
        let message = self.open_part(open, MESSAGE);
        let variables = self.open_part(open, VARIABLES);
        for part in message.iter().chain([open]).chain(&variables) {
            for element in &part.element.children {
                self.set_part(part, element, &mut transform);
            }
        }
        if open.element.children.is_empty() {
            let what = "this `ee:transform` is empty";
            let mend =
                "write `<ee:message><ee:set-payload>…</ee:set-payload></ee:message>` into it";
            self.error(open.at(), what, mend);
        }
        Some(Does::Transform(transform))
    }

    /// Reads a part of an `ee:transform` that sets something; one in the wrong place is read all the same.
    fn set_part(&mut self, within: &Open<'a>, element: &'a Element, transform: &mut Transform) {
        let title = element.title();
        let home = match title.as_str() {
            "ee:set-payload" | "ee:set-attributes" => MESSAGE,
            "ee:set-variable" => VARIABLES,
            _ => return,
        };
        if within.shape.name != home {
            let (quoted, place) = (quote(&title), quote(within.shape.name));
            let how = if place == "`ee:transform`" {
                "directly in"
            } else {
                "in"
            };
            let what = format!("{quoted} is {how} {place}, where Mule does not allow it");
            self.deviation(element.at, what, format!("put it into `<{home}>`"));
        }
        let Some(open) = self.open(element) else {
            return;
        };
        if home == VARIABLES {
            let name = self.given(&open, "variableName");
            let script = self.script_of(text_of(element));
            transform.variables.extend(name.zip(script));
            return;
        }
        let script = self.script_of(text_of(element));
        let known = match title.as_str() {
            "ee:set-payload" => &mut transform.payload,
            _ => &mut transform.attributes,
        };
        if known.is_some() {
            let what = format!("`ee:transform` has {} twice", quote(&title));
            self.error(element.at, what, "keep one");
            return;
        }
        *known = script;
    }

    /// Reads an `ee:cache`.
    pub fn cache(&mut self, open: &Open<'a>) -> Option<Does> {
        let mut key = None;
        if let Some(attribute) = open.attribute("keyExpression") {
            let what = "`ee:cache` has no attribute `keyExpression` in Mule; it is read as the strategy's `keyGenerationExpression`";
            self.deviation(attribute.at, what, "move it there");
            key = self.script(open, "keyExpression");
        }
        let strategy = self.text(open, "cachingStrategy-ref");
        let (of_strategy, store) = strategy.map_or((None, None), |name| self.strategy(open, name));
        let key = key.or(of_strategy);
        Some(Does::Cache(Cache {
            key: key.map(Given::Expression),
            store,
            chain: self.chain(open),
        }))
    }

    /// Reads an `ee:invalidate-cache` or an `ee:invalidate-key`.
    pub fn invalidate(&mut self, open: &Open<'a>) -> Option<Does> {
        let name = self.text(open, "cachingStrategy-ref")?;
        let (key, store) = self.strategy(open, name);
        let meant = match open.shape.name {
            "ee:invalidate-cache" => open.attribute("keyExpression"),
            _ => None,
        };
        if let Some(attribute) = meant {
            let what = "`ee:invalidate-cache` has no attribute `keyExpression` in Mule; it is read as `ee:invalidate-key`";
            let mend = "write `<ee:invalidate-key keyGenerationExpression=\"…\"/>`";
            self.deviation(attribute.at, what, mend);
        }
        let entry = match open.shape.name {
            "ee:invalidate-cache" if meant.is_some() => {
                let key = self.script(open, "keyExpression")?;
                Some(CacheKey::Computed(Given::Expression(key)))
            }
            "ee:invalidate-key" => {
                let own = self.script_if_written(open, "keyGenerationExpression");
                let key = own.or(key).map(Given::Expression);
                Some(key.map_or(CacheKey::Payload, CacheKey::Computed))
            }
            _ => None,
        };
        Some(Does::Invalidate(Invalidate {
            store: store?,
            entry,
        }))
    }

    /// The key expression and the store of a caching strategy.
    fn strategy(
        &mut self,
        cache: &Open<'a>,
        name: Written<'a>,
    ) -> (Option<crate::Script>, Option<Arc<StoreDeclaration>>) {
        if let Some(element) = self.globals.find(name.text, &[STRATEGY]) {
            let Some(open) = self.open(element) else {
                return (None, None);
            };
            let key = self.script(&open, "keyGenerationExpression");
            let named =
                open.has("objectStore") || self.part(&open, "os:private-object-store").is_some();
            let store = match named {
                true => self.store_of(&open),
                // The strategy's own cache, which all its scopes share.
                false => Some(
                    self.own_store("cache", element.at, |store| StoreDeclaration {
                        ttl: Some(CACHED_FOR),
                        entries_max: Some(CACHED_MAX),
                        sweep_every: Some(Duration::from_secs(1)),
                        ..store
                    }),
                ),
            };
            return (key, store);
        }
        if self.globals.find(name.text, &[STORE]).is_some() {
            let (quoted, store) = (quote(name.text), name.text);
            let what = format!("{quoted} is an object store, but Mule expects a caching strategy");
            let mend =
                format!("write `<{STRATEGY} name=\"…\" objectStore=\"{store}\"/>` and refer to it");
            self.deviation(name.at(), what, mend);
            return (None, self.store_named(cache, "cachingStrategy-ref"));
        }
        let what = format!("nothing defines the caching strategy {}", quote(name.text));
        let otherwise = format!("write `<{STRATEGY} name=\"{}\"/>`", name.text);
        let mend = self.mend(name.text, &[STRATEGY, STORE], &otherwise);
        self.deviation(name.at(), what, mend);
        (None, None)
    }
}
