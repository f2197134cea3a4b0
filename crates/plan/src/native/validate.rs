//! Validates a breaker's settings by the breaker's own rules, with each fault at the place of its key.

use fusebox_breaker::settings::SettingsError;
use fusebox_breaker::{Rule, Settings};

use super::trip::DraftTrip;
use crate::diagnostic::{Notes, Place};

/// Validates settings by the breaker's own rules, and reports each fault at the place of its key: in one of the maps of
/// rules, or where `place` says for the name of a section and a key; `at` is the place of all of it.
pub(super) fn validate(
    settings: &Settings,
    trips: &[DraftTrip],
    at: Place,
    place: impl Fn(&str, &str) -> Option<Place>,
    notes: &mut Notes,
) {
    // Each rule is validated alone, so that a fault is reported at the rule's own map.
    let alone = |rules: Vec<Rule>| Settings {
        trip: rules,
        compare: settings.compare,
        ..Settings::default()
    };
    for trip in trips {
        let rules = trip.rules(&mut Notes::default());
        if rules.is_empty() {
            continue;
        }
        for fault in alone(rules).validate().err().into_iter().flatten() {
            let key = fault.setting().strip_prefix("trip.").unwrap_or_default();
            refuse_setting(trip.place(key), &fault, notes);
        }
    }
    let rest = Settings {
        trip: Settings::default().trip,
        ..settings.clone()
    };
    for fault in rest.validate().err().into_iter().flatten() {
        let at_key = fault.setting().split_once('.');
        let at_key = at_key.and_then(|(section, key)| place(section, key));
        refuse_setting(at_key.unwrap_or(at), &fault, notes);
    }
}

fn refuse_setting(at: Place, fault: &SettingsError, notes: &mut Notes) {
    notes.error(at, fault.what(), fault.mend());
}
