//! The values of which nothing, or not everything, is said: those with a missing property, and those with a secret.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fusebox_plan::dialect::{Place, quote};

use crate::xml::{Element, Filling};

/// The states of an application's values, by their positions.
#[derive(Debug, Default)]
pub(super) struct States {
    broken: HashSet<Place>,
    secrets: HashMap<Place, Vec<Arc<str>>>,
}

impl States {
    /// The states of the values in elements.
    pub fn of(elements: &[Element]) -> States {
        let mut states = States::default();
        elements.iter().for_each(|element| states.add(element));
        states
    }

    fn add(&mut self, element: &Element) {
        for attribute in &element.attributes {
            self.note(attribute.value.at, &attribute.state);
        }
        if let Some(text) = &element.text {
            self.note(text.at, &element.text_state);
        }
        element.children.iter().for_each(|child| self.add(child));
    }

    fn note(&mut self, at: Place, state: &Filling) {
        if state.is_broken {
            self.broken.insert(at);
        }
        if !state.secrets.is_empty() {
            self.secrets.insert(at, state.secrets.clone());
        }
    }

    /// True if a value has a placeholder that could not be filled in; that is the fault to report, and no other.
    pub fn is_broken(&self, at: Place) -> bool {
        self.broken.contains(&at)
    }

    /// True if a value of the application has a placeholder that could not be filled in.
    pub fn any_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// A message about the value at a position without the secrets in it.
    pub fn shown(&self, at: Place, message: String) -> String {
        let Some(secrets) = self.secrets.get(&at) else {
            return message;
        };
        let mut shown = message;
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let quoted = quote(secret);
            let quoted = quoted.trim_matches('`').trim_end_matches('…');
            for text in [&**secret, secret.trim(), quoted] {
                if !text.is_empty() {
                    shown = shown.replace(text, "***");
                }
            }
        }
        shown
    }
}
