//! Actions that run flows, and the word about an application whose flows do not all run.

use std::rc::Rc;
use std::sync::Arc;

use fusebox_plan::dialect::Node;

use crate::Value;
use crate::flow::Action;
use crate::read::actions::{ActionPlaces, Actions, BuiltAction};
use crate::read::flows;
use crate::read::library::{is_flow, is_microgateway};
use crate::read::object::Object;
use crate::read::reader::Reader;
use crate::read::refs::ContributionKind;

/// The kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionKind {
    Microgateway,
    Flow,
}

impl Actions<'_> {
    /// The kind of an action by its `ref`; `None` for all that do not run.
    pub(super) fn kind_of(&self, object: Object<'_>) -> Option<ActionKind> {
        let reference = crate::read::object::text(&object.get("ref")?.value)?;
        match self
            .imports
            .resolve(reference.get(), ContributionKind::Action)
        {
            Ok(path) if is_microgateway(path) => Some(ActionKind::Microgateway),
            Ok(path) if is_flow(path) => Some(ActionKind::Flow),
            _ => None,
        }
    }

    /// The kind of the action that a handler's entry refers to or describes.
    fn kind_for(&self, entry: Object<'_>) -> Option<ActionKind> {
        let id = entry
            .get("id")
            .and_then(|id| crate::read::object::text(&id.value));
        match id.filter(|id| !id.get().is_empty()) {
            Some(id) => self.shared[*self.by_id.get(id.get())?].kind,
            None => self.kind_of(entry),
        }
    }

    /// True if a handler's entry runs a flow.
    pub fn is_flow(&self, entry: Object<'_>) -> bool {
        self.kind_for(entry) == Some(ActionKind::Flow)
    }

    /// Counts a handler, for a word about applications of flows.
    pub fn count_handler(&mut self, items: &[Node]) {
        let mut entries = items.iter().filter_map(Object::of);
        let is_microgateway =
            entries.any(|entry| self.kind_for(entry) == Some(ActionKind::Microgateway));
        self.handlers.0 += 1;
        self.handlers.1 += usize::from(is_microgateway);
    }

    /// Says what an application is whose flows do not all run.
    pub fn name_flows(&self, reader: &mut Reader<'_>) {
        let (all, gateways) = (self.handlers.0, self.handlers.1);
        let at = self.library.first_flow();
        if let (Some(at), true) = (at, self.flows.is_unsupported) {
            let (handlers, is) = match (all, gateways) {
                (1, _) => ("handler", "is a microgateway"),
                (_, 1) => ("handlers", "is a microgateway"),
                _ => ("handlers", "are microgateways"),
            };
            let what = format!("this is a flow application; {gateways} of {all} {handlers} {is}");
            let mend =
                "flows of a few activities run (docs/flogo.md); run the others where they ran";
            reader.error(at, what, mend);
        }
    }

    pub(super) fn flow(
        &mut self,
        object: Object<'_>,
        reader: &mut Reader<'_>,
    ) -> Option<BuiltAction> {
        if let Some(entry) = object.get("mappings") {
            let mend = "write `input` and `output` instead";
            self.flows.refuse_old(entry, mend, reader);
        }
        let uri = flows::uri_of(object, reader)?;
        let loaded = self.library.flow(uri, reader)?;
        self.add_parts(loaded.parts, object.at, reader)?;
        let read = self.flows.read(&loaded.name, &loaded.root, reader)?;
        let name = self.name(&loaded.name);
        Some(BuiltAction {
            action: Arc::new(Action {
                name,
                resource: loaded.name.as_str().into(),
                conf: Value::Null,
                env: Value::Null,
                asynchronous: false,
                services: read.services,
                flow: Some(read.flow),
                steps: Vec::new(),
                responses: Vec::new(),
            }),
            places: Rc::new(ActionPlaces {
                services: read.places,
                steps: Vec::new(),
                responses: Vec::new(),
            }),
            source: loaded,
            conf: Rc::new([]),
        })
    }
}
