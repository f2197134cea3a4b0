//! Elements of Mule that are not supported, with the nearest supported replacement.

use fusebox_plan::dialect::{Notes, quote};

use super::shapes::{Role, SHAPES};
use crate::xml::Element;

/// The replacement nearest to an element, or with `*` as the name to all other elements of a module.
fn replacement(element: &str) -> Option<&'static str> {
    Some(match element {
        "db:*" => {
            "`http:request` to a service that owns the database, or `os:store` and `os:retrieve` for small state"
        }
        "anypoint-mq:publish"
        | "jms:publish"
        | "kafka:publish"
        | "amqp:publish"
        | "sqs:send-message" => "`vm:publish`",
        "anypoint-mq:subscriber"
        | "anypoint-mq:consume"
        | "jms:listener"
        | "jms:consume"
        | "kafka:message-listener"
        | "amqp:listener"
        | "sqs:receivemessages" => "`vm:listener`",
        "anypoint-mq:ack" => {
            "the end of a flow that a `vm:listener` starts, which has nothing to acknowledge"
        }
        "anypoint-mq:nack" => "`vm:publish` back into the queue",
        "anypoint-mq:*" | "jms:*" | "kafka:*" | "amqp:*" | "sqs:*" => "`vm:config`",
        "jms:publish-consume" => "`vm:publish-consume`",
        "kafka:batch-message-listener" => "`vm:listener`, which takes one message at a time",
        "solace:*" | "pubsub:*" => "`vm:publish` and `vm:listener`",
        "batch:*" => "`foreach` or `parallel-foreach` over the records",
        "salesforce:*" => "`http:request` to Salesforce's REST API",
        "slack:*" => "`http:request` to a webhook of Slack",
        "file:listener" => "`scheduler` with an `http:request` to a service that has the files",
        "file:*" | "ftp:*" | "sftp:*" | "s3:*" => "`http:request` to a service that has the files",
        "email:*" => "`http:request` to a service that sends mail",
        "redis:*" => "`os:store` and `os:retrieve`; `--store redis://…` keeps objects there",
        "mongo:*" => "`http:request` to a service that owns the database",
        "wsc:*" => "`http:request` with the envelope as its body",
        "munit:*" | "munit-tools:*" => {
            "no element: tests stay in files of their own, which are not run here"
        }
        "spring:*"
        | "java:*"
        | "xml-module:*"
        | "scripting:parameters"
        | "scripting:*"
        | "ee:dynamic-evaluate"
        | "dw:transform-message" => "`ee:transform`",
        "json:validate-schema" | "validation:*" => "`validation:is-true`",
        "aggregators:*" => "`scatter-gather`, or `os:store` until all parts are there",
        "crypto:*" => "`http:request` to a service that signs",
        "jwt:*" | "oauth2-provider:*" => "`http:request` to a service that checks tokens",
        "byte-array-to-string-transformer" => "`set-payload`",
        "http:basic-security-filter" => "`choice` over `attributes.headers.authorization`",
        "set-property" => "`http:headers` of an `http:response`",
        "http:digest-authentication" | "http:ntlm-authentication" => "`http:basic-authentication`",
        "http:proxy-config" | "http:proxy" => "no element: requests go straight to their host",
        "collection-splitter" => "`foreach`",
        "collection-aggregator" => "`foreach` into a variable",
        "message-filter" | "expression-filter" => "`choice`",
        "poll" => "`scheduler`",
        "catch-exception-strategy" => "`on-error-continue` in an `error-handler`",
        "rollback-exception-strategy" => "`on-error-propagate` in an `error-handler`",
        "choice-exception-strategy" => "`error-handler`",
        "object-to-string-transformer" => "`set-payload` with `output application/json`",
        "sockets:*" => "`http:request`",
        _ => return None,
    })
}

/// The elements of build files and of the log's configuration, which stand in repositories beside Mule's.
const FOREIGN: &[&str] = &[
    "Appenders",
    "AsyncLogger",
    "AsyncRoot",
    "Configuration",
    "Logger",
    "Loggers",
    "Properties",
    "Root",
    "artifactId",
    "build",
    "dependencies",
    "dependency",
    "dependencyManagement",
    "deploymentSettings",
    "distributionManagement",
    "groupId",
    "parent",
    "plugin",
    "plugins",
    "pluginRepositories",
    "profile",
    "profiles",
    "project",
    "properties",
    "repositories",
    "repository",
    "server",
    "servers",
    "settings",
];

/// True for an element of a build file or of the log's configuration.
pub(super) fn is_of_build(title: &str) -> bool {
    FOREIGN.contains(&title)
}

/// The limit of suggestions; a search compares many names.
pub(super) const GUESSES_MAX: usize = 200;

/// The known element whose name differs by at most two letters.
fn slip_of(title: &str, known: &[&'static str]) -> Option<&'static str> {
    const EDITS_MAX: usize = 2;
    let edits = known
        .iter()
        .filter(|other| other.len().abs_diff(title.len()) <= EDITS_MAX)
        .map(|other| (strsim::osa_distance(title, other), *other));
    let nearest = edits.min_by_key(|(edits, _)| *edits)?;
    (nearest.0 <= EDITS_MAX).then_some(nearest.1)
}

/// Reports an unknown element: a module that is not supported once, and otherwise each kind of element once.
pub(super) fn refuse(element: &Element, notes: &mut Notes) {
    let title = element.title();
    let (what, mend) = refusal(&title, notes.errors());
    if what.starts_with(SLIP) {
        return notes.error_about(element.at, title, what, mend);
    }
    let is_ours = |module: &str| {
        let prefixes = SHAPES.iter().filter_map(|shape| shape.name.split_once(':'));
        prefixes.map(|(prefix, _)| prefix).any(|it| it == module)
    };
    let cause = match title.split_once(':') {
        _ if is_of_build(&title) => "a build file",
        Some((module, _)) if !is_ours(module) => module,
        _ => &title,
    };
    notes.error_of_cause(cause, element.at, title.clone(), what, mend);
}

/// The beginning of the problem with an element whose name is like a known one's.
const SLIP: &str = "unknown element";

/// The problem and the remedy for an unknown element. `errors` is the number of errors so far; after many of them
/// no similar name is searched for.
pub(super) fn refusal(title: &str, errors: usize) -> (String, String) {
    let module = title.split_once(':').map_or("", |(module, _)| module);
    if FOREIGN.contains(&title) {
        let what = format!(
            "{} is of a build file or of the log's configuration, not of Mule",
            quote(title)
        );
        return (what, "name the files with flows alone".to_owned());
    }
    // A typing error is more likely than an unknown element of a known module.
    let same = |shape: &&'static str| {
        let (other, _) = shape.split_once(':').unwrap_or(("", shape));
        other == module
    };
    let ours: Vec<&'static str> = SHAPES.iter().map(|shape| shape.name).filter(same).collect();
    let exact = replacement(title);
    if exact.is_none()
        && errors < GUESSES_MAX
        && let Some(near) = slip_of(title, &ours)
    {
        let what = format!("{SLIP} {}", quote(title));
        return (what, format!("did you mean {}?", quote(near)));
    }
    let what = format!("{} is not supported", quote(title));
    if let Some(instead) = exact.or_else(|| replacement(&format!("{module}:*"))) {
        return (what, format!("the nearest replacement: {instead}"));
    }
    if ours.is_empty() {
        let what = format!("{what}: the module {} is not", quote(module));
        return (
            what,
            "call a service that does it by `http:request`".to_owned(),
        );
    }
    let stands = SHAPES.iter().filter(|shape| same(&shape.name));
    let stands = stands.filter(|shape| matches!(shape.role, Role::Processor | Role::Source));
    let names: Vec<&str> = stands.map(|shape| shape.name).collect();
    let mend = match &names[..] {
        [] => "remove it".to_owned(),
        names => format!("supported in flows: {}", names.join(", ")),
    };
    (what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_refused_with_the_nearest_thing_inside() {
        for (title, instead) in [
            ("db:select", "http:request"),
            ("db:config", "http:request"),
            ("anypoint-mq:publish", "`vm:publish`"),
            ("anypoint-mq:subscriber", "`vm:listener`"),
            ("jms:listener", "`vm:listener`"),
            ("kafka:publish", "`vm:publish`"),
            ("batch:job", "foreach"),
            ("salesforce:create", "http:request"),
            ("munit:test", "tests stay"),
            ("zuora:query", "http:request"),
            ("dependency", "the files with flows"),
            (
                "http:request-builder",
                "supported in flows: http:listener, http:request",
            ),
        ] {
            let (what, mend) = refusal(title, 0);
            assert!(what.contains(title), "{what}");
            assert!(mend.contains(instead), "{title}: {mend}");
        }
    }

    #[test]
    fn a_slip_is_told_from_what_is_outside() {
        for (title, meant) in [
            ("http:requst", "`http:request`"),
            ("os:retreive", "`os:retrieve`"),
            ("on-error-contine", "`on-error-continue`"),
            ("set-payloads", "`set-payload`"),
        ] {
            assert_eq!(refusal(title, 0).1, format!("did you mean {meant}?"));
        }
    }

    #[test]
    fn what_is_refused_is_not_read_elsewhere() {
        for shape in SHAPES {
            assert_eq!(replacement(shape.name), None, "{}", shape.name);
        }
    }
}
