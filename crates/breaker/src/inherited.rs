//! The settings of a family, and those of the keys in it that differ: a family's settings, changed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::settings::{Settings, SettingsErrors};

/// The changes that make one key's settings of its family's.
pub(crate) type Change = Arc<dyn Fn(&mut Settings) + Send + Sync>;

/// A family's settings, with those of the keys that differ.
pub(crate) struct Inherited {
    family: Arc<Settings>,
    changes: Arc<[(Arc<str>, Change)]>,
    own: HashMap<Arc<str>, Arc<Settings>>,
}

impl Inherited {
    /// The settings of all keys; the changes of one key are made one after the other.
    ///
    /// # Errors
    /// All faults of the family's settings, and of each key's that differ.
    pub fn new(
        family: Arc<Settings>,
        changes: impl Into<Arc<[(Arc<str>, Change)]>>,
    ) -> Result<Self, SettingsErrors> {
        let changes = changes.into();
        family.validate()?;
        let mut own: HashMap<Arc<str>, Settings> = HashMap::new();
        for (key, change) in changes.iter() {
            change(own.entry(key.clone()).or_insert_with(|| (*family).clone()));
        }
        own.values().try_for_each(Settings::validate)?;
        let own = own.into_iter().map(|(key, own)| (key, Arc::new(own)));
        Ok(Inherited {
            own: own.collect(),
            family,
            changes,
        })
    }

    /// The same changes, made of another family's settings.
    ///
    /// # Errors
    /// The same as of [`Inherited::new`].
    pub fn under(&self, family: Arc<Settings>) -> Result<Self, SettingsErrors> {
        Inherited::new(family, self.changes.clone())
    }

    pub fn family(&self) -> &Settings {
        &self.family
    }

    pub fn of(&self, key: &str) -> &Arc<Settings> {
        self.own.get(key).unwrap_or(&self.family)
    }
}
