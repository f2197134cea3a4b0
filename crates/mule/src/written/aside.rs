//! Elements beside the work of a flow: loggers of other modules, which are read as `logger`, and those that only report
//! to MuleSoft's platform, which do nothing here.
//!
//! They are handled before placeholders are filled in, so that what does nothing needs no property.

use fusebox_plan::dialect::{Notes, quote};

use crate::xml::{Attribute, Element};

/// The modules that do nothing here, each with the reason.
const IDLE: &[(&str, &str)] = &[
    ("api-gateway", "APIs are not registered with API Manager"),
    ("tracking", "nothing is tracked for Business Events"),
    ("tracing", "log lines carry no variables of tracing"),
    ("anypoint-monitoring", "metrics are the gateway's own"),
    ("custom-metrics", "metrics are the gateway's own"),
];

/// The levels of a log line.
const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

/// Replaces loggers and removes what does nothing, with a warning for each.
pub(super) fn set_aside(elements: &mut Vec<Element>, notes: &mut Notes) {
    elements.retain_mut(|element| {
        if let Some(why) = idle(element) {
            let what = format!("{} does nothing here: {why}", quote(&element.title()));
            notes.warn(element.at, what, "remove it, or ignore this");
            return false;
        }
        if is_logger(element) {
            let read_as = match is_scope(element) {
                true => "its content: it logs nothing",
                false => "`logger`: only its message, level and category are heeded",
            };
            let what = format!("{} is read as {read_as}", quote(&element.title()));
            notes.warn(element.at, what, "write `logger`, or ignore this");
            become_logger(element);
        }
        set_aside(&mut element.children, notes);
        true
    });
}

/// The reason why an element does nothing.
fn idle(element: &Element) -> Option<&'static str> {
    let known = IDLE.iter().find(|(module, _)| *module == &*element.module);
    if let Some((_, why)) = known {
        return Some(why);
    }
    let is_config = element.name.ends_with("config") && is_logging(&element.module);
    is_config.then_some("the log has a form of its own")
}

fn is_logging(module: &str) -> bool {
    module.contains("logger") || module.contains("logging")
}

fn is_logger(element: &Element) -> bool {
    let module = &*element.module;
    !module.is_empty() && (is_logging(module) || element.name.ends_with("logger"))
}

/// True for a logger with steps of the flow inside.
fn is_scope(element: &Element) -> bool {
    let mut children = element.children.iter();
    children.any(|child| child.module != element.module)
}

/// Makes a `logger` of a logger's element, or a `try` of one with steps inside.
fn become_logger(element: &mut Element) {
    let module = std::mem::take(&mut element.module);
    // With steps of the flow inside.
    if element.children.iter().any(|child| child.module != module) {
        element.name = "try".into();
        element.attributes.clear();
        element.text = None;
        element.children.retain(|child| child.module != module);
        return;
    }
    element.name = "logger".into();
    let children = std::mem::take(&mut element.children);
    let written = std::mem::take(&mut element.attributes);
    let mut attributes: Vec<Attribute> = Vec::new();
    for mut attribute in written {
        let name = match &*attribute.name {
            "message" if !attribute.value.value.trim().is_empty() => "message",
            "level" | "priority" if LEVELS.contains(&attribute.value.value.trim()) => "level",
            "category" if !attribute.value.value.trim().is_empty() => "category",
            _ => continue,
        };
        if attributes.iter().all(|it| &*it.name != name) {
            attribute.name = name.into();
            attributes.push(attribute);
        }
    }
    let texts = children.into_iter().chain([Element {
        children: Vec::new(),
        attributes: Vec::new(),
        ..element.clone()
    }]);
    let mut texts = texts.filter(|it| it.text.is_some());
    if attributes.iter().all(|it| &*it.name != "message")
        && let Some(text) = texts.next()
        && let Some(value) = text.text
    {
        attributes.push(Attribute {
            name: "message".into(),
            at: value.at,
            value,
            places: text.text_places,
            state: text.text_state,
        });
    }
    element.text = None;
    element.attributes = attributes;
}
