//! Elements of Mule that are not supported, with the nearest supported replacement.

use fusebox_plan::dialect::quote;

use super::shapes::{Role, SHAPES};

/// Replacements by element name, `*` for all other elements of a module; the first match applies.
const NEAREST: &[(&str, &str)] = &[
    (
        "db:*",
        "`http:request` to a service that owns the database, or `os:store` and `os:retrieve` for small state",
    ),
    ("anypoint-mq:publish", "`vm:publish`"),
    ("anypoint-mq:subscriber", "`vm:listener`"),
    ("anypoint-mq:consume", "`vm:listener`"),
    (
        "anypoint-mq:ack",
        "the end of a flow that a `vm:listener` starts, which has nothing to acknowledge",
    ),
    ("anypoint-mq:nack", "`vm:publish` back into the queue"),
    ("anypoint-mq:*", "`vm:config`"),
    ("jms:publish", "`vm:publish`"),
    ("jms:publish-consume", "`flow-ref`, whose result comes back"),
    ("jms:listener", "`vm:listener`"),
    ("jms:consume", "`vm:listener`"),
    ("jms:*", "`vm:config`"),
    ("kafka:publish", "`vm:publish`"),
    ("kafka:message-listener", "`vm:listener`"),
    (
        "kafka:batch-message-listener",
        "`vm:listener`, which takes one message at a time",
    ),
    ("kafka:*", "`vm:config`"),
    ("amqp:publish", "`vm:publish`"),
    ("amqp:listener", "`vm:listener`"),
    ("amqp:*", "`vm:config`"),
    ("sqs:send-message", "`vm:publish`"),
    ("sqs:receivemessages", "`vm:listener`"),
    ("sqs:*", "`vm:config`"),
    ("solace:*", "`vm:publish` and `vm:listener`"),
    ("pubsub:*", "`vm:publish` and `vm:listener`"),
    ("vm:publish-consume", "`flow-ref`, whose result comes back"),
    ("vm:consume", "`vm:listener`"),
    (
        "apikit:*",
        "a `flow` for each path, with its own `http:listener`",
    ),
    (
        "batch:*",
        "`foreach` or `parallel-foreach` over the records",
    ),
    ("salesforce:*", "`http:request` to Salesforce's REST API"),
    ("slack:*", "`http:request` to a webhook of Slack"),
    (
        "file:listener",
        "`scheduler` with an `http:request` to a service that has the files",
    ),
    ("file:*", "`http:request` to a service that has the files"),
    ("ftp:*", "`http:request` to a service that has the files"),
    ("sftp:*", "`http:request` to a service that has the files"),
    ("s3:*", "`http:request` to a service that has the files"),
    ("email:*", "`http:request` to a service that sends mail"),
    (
        "redis:*",
        "`os:store` and `os:retrieve`; `--store redis://…` keeps objects there",
    ),
    (
        "mongo:*",
        "`http:request` to a service that owns the database",
    ),
    ("wsc:*", "`http:request` with the envelope as its body"),
    (
        "munit:*",
        "no element: tests stay in files of their own, which are not run here",
    ),
    (
        "munit-tools:*",
        "no element: tests stay in files of their own, which are not run here",
    ),
    (
        "secure-properties:*",
        "`configuration-properties`, with secrets from the environment",
    ),
    ("spring:*", "`ee:transform`"),
    ("java:*", "`ee:transform`"),
    ("json:validate-schema", "`validation:is-true`"),
    ("xml-module:*", "`ee:transform`"),
    (
        "aggregators:*",
        "`scatter-gather`, or `os:store` until all parts are there",
    ),
    ("crypto:*", "`http:request` to a service that signs"),
    ("jwt:*", "`http:request` to a service that checks tokens"),
    (
        "oauth2-provider:*",
        "`http:request` to a service that checks tokens",
    ),
    ("validation:all", "one validation after the other"),
    ("validation:is-number", "`validation:matches-regex`"),
    ("validation:is-email", "`validation:matches-regex`"),
    ("validation:is-url", "`validation:matches-regex`"),
    ("validation:is-ip", "`validation:matches-regex`"),
    (
        "validation:is-blank-string",
        "`validation:is-true` with `isBlank(…)`",
    ),
    ("validation:*", "`validation:is-true`"),
    ("scripting:parameters", "`ee:transform`"),
    ("scripting:*", "`ee:transform`"),
    ("ee:invalidate-key", "`os:remove`"),
    ("ee:invalidate-cache", "`os:clear`"),
    ("ee:dynamic-evaluate", "`ee:transform`"),
    ("http:load-static-resource", "`set-payload`"),
    (
        "http:basic-security-filter",
        "`choice` over `attributes.headers.authorization`",
    ),
    (
        "http:listener-interceptors",
        "`http:headers` of an `http:response`",
    ),
    (
        "http:authentication",
        "`http:default-headers` with an `Authorization` of its own",
    ),
    (
        "http:proxy-config",
        "no element: requests go straight to their host",
    ),
    (
        "http:proxy",
        "no element: requests go straight to their host",
    ),
    ("cron", "`fixed-frequency`"),
    ("redelivery-policy", "`until-successful` around what fails"),
    (
        "idempotent-message-validator",
        "`os:contains` and `os:store` with the message's id as the key",
    ),
    ("parse-template", "`set-payload`"),
    ("collection-splitter", "`foreach`"),
    ("collection-aggregator", "`foreach` into a variable"),
    ("message-filter", "`choice`"),
    ("poll", "`scheduler`"),
    (
        "catch-exception-strategy",
        "`on-error-continue` in an `error-handler`",
    ),
    (
        "rollback-exception-strategy",
        "`on-error-propagate` in an `error-handler`",
    ),
    ("choice-exception-strategy", "`error-handler`"),
    ("set-property", "`http:headers` of an `http:response`"),
    ("expression-filter", "`choice`"),
    (
        "object-to-string-transformer",
        "`set-payload` with `output application/json`",
    ),
    ("byte-array-to-string-transformer", "`set-payload`"),
    ("dw:transform-message", "`ee:transform`"),
    ("tracking:*", "`logger`"),
    ("tracing:*", "`logger`"),
    ("sockets:*", "`http:request`"),
];

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

/// The problem and the remedy for an unknown element. `errors` is the number of errors so far; after many of them
/// no similar name is searched for.
pub(super) fn refusal(title: &str, errors: usize) -> (String, String) {
    let module = title.split_once(':').map_or("", |(module, _)| module);
    let fits = |pattern: &str| {
        pattern == title || (!module.is_empty() && pattern == format!("{module}:*"))
    };
    // A typing error is more likely than an unknown element of a known module.
    let same = |shape: &&'static str| {
        let (other, _) = shape.split_once(':').unwrap_or(("", shape));
        other == module
    };
    let ours: Vec<&'static str> = SHAPES.iter().map(|shape| shape.name).filter(same).collect();
    let exact = NEAREST.iter().find(|(pattern, _)| *pattern == title);
    if exact.is_none()
        && errors < GUESSES_MAX
        && let Some(near) = slip_of(title, &ours)
    {
        let what = format!("unknown element {}", quote(title));
        return (what, format!("did you mean {}?", quote(near)));
    }
    if let Some((_, instead)) = exact.or(NEAREST.iter().find(|(pattern, _)| fits(pattern))) {
        return (
            format!("{} is not supported", quote(title)),
            format!("the nearest replacement: {instead}"),
        );
    }
    if ours.is_empty() {
        return (
            format!(
                "{} is not supported: the module {} is not",
                quote(title),
                quote(module)
            ),
            "call a service that does it by `http:request`".to_owned(),
        );
    }
    let stands = SHAPES.iter().filter(|shape| same(&shape.name));
    let stands = stands.filter(|shape| matches!(shape.role, Role::Processor | Role::Source));
    let names: Vec<&str> = stands.map(|shape| shape.name).collect();
    (
        format!("{} is not supported", quote(title)),
        match &names[..] {
            [] => "remove it".to_owned(),
            names => format!("supported in flows: {}", names.join(", ")),
        },
    )
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
            ("apikit:router", "http:listener"),
            ("batch:job", "foreach"),
            ("salesforce:create", "http:request"),
            ("munit:test", "tests stay"),
            ("vm:publish-consume", "flow-ref"),
            ("vm:consume", "`vm:listener`"),
            ("cron", "fixed-frequency"),
            ("zuora:query", "http:request"),
            ("http:listener-interceptors", "http:headers"),
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
        for (pattern, _) in NEAREST {
            assert!(super::super::shapes::find(pattern).is_none(), "{pattern}");
        }
    }
}
