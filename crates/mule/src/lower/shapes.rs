//! The table of elements: attributes, children, and allowed places of each.
//!
//! The reader refuses everything outside the table, takes suggestions and defaults from it, and asserts that it reads
//! only attributes in it. Names and defaults are those of the
//! [components](https://docs.mulesoft.com/mule-runtime/latest/about-components) and of the reference of
//! the [HTTP](https://docs.mulesoft.com/http-connector/latest/http-documentation),
//! [Object Store](https://docs.mulesoft.com/object-store-connector/latest/object-store-connector-reference)
//! and [VM](https://docs.mulesoft.com/vm-connector/latest/vm-reference) connectors.

use self::Body::{Free, Nothing, Processors, Text as Words};
use self::Kind::{
    Flag, FlagValue, Idle, Message, Refused, Script, Text, Unheeded, Value, Whole, WholeValue, Word,
};
use self::Role::{Accepted, Global, Handler, Part, Processor, Source};

/// The shape of an element.
pub(super) struct Shape {
    /// The element's name with the conventional prefix of its module.
    pub name: &'static str,
    pub role: Role,
    pub attributes: &'static [Attr],
    /// The allowed child elements, besides the processors of the body.
    pub parts: &'static [&'static str],
    pub body: Body,
}

/// The place of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Outside of flows.
    Global,
    /// First in a flow.
    Source,
    /// In a chain.
    Processor,
    /// In an `error-handler`, or outside flows for reference.
    Handler,
    /// In the elements that list it as a part.
    Part,
    /// Like `Part`, but without effect here, for this reason; an empty reason gives no warning.
    Accepted(&'static str),
}

/// The content of an element besides its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Nothing,
    Processors,
    Text,
    /// Any content, unchecked.
    Free,
}

/// The shape of an attribute.
pub(super) struct Attr {
    pub name: &'static str,
    pub kind: Kind,
    pub absent: Absent,
}

/// The meaning of a missing attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Wrong,
    Fine,
    Is(&'static str),
}

/// The allowed values of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A literal text that is not empty.
    Text,
    /// A literal text, or an expression.
    Value,
    /// A text that may contain expressions, or one expression.
    Message,
    /// An expression, with or without `#[ ]`.
    Script,
    /// A whole number within a range, both ends included.
    Whole(i64, i64),
    /// A whole number within a range, or an expression.
    WholeValue(i64, i64),
    /// The words `true` or `false`.
    Flag,
    /// The words `true` or `false`, or an expression.
    FlagValue,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any value; it has no visible effect here.
    Idle,
    /// Any value; it has no effect here, for this reason, which is a warning.
    Unheeded(&'static str),
    /// An attribute of Mule that is not supported: the reason, and the remedy.
    Refused(&'static str, &'static str),
}

const fn must(name: &'static str, kind: Kind) -> Attr {
    Attr { name, kind, absent: Absent::Wrong }
}

const fn may(name: &'static str, kind: Kind) -> Attr {
    Attr { name, kind, absent: Absent::Fine }
}

const fn or(name: &'static str, kind: Kind, default: &'static str) -> Attr {
    Attr { name, kind, absent: Absent::Is(default) }
}

const fn shape(
    name: &'static str,
    role: Role,
    attributes: &'static [Attr],
    parts: &'static [&'static str],
    body: Body,
) -> Shape {
    Shape { name, role, attributes, parts, body }
}

/// Milliseconds, up to 366 days.
const MILLIS: Kind = Whole(0, 31_622_400_000);
const MILLIS_VALUE: Kind = WholeValue(0, 31_622_400_000);
const COUNT: Kind = Whole(1, 1_000_000);
pub(super) const TIME_UNITS: &[&str] =
    &["NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"];
const UTF8: Kind = Unheeded("texts are UTF-8 here");
const NO_RETYPE: Kind = Refused(
    "the media type of a body comes with the body",
    "declare another one by `<set-payload value=\"#[payload]\" mimeType=\"…\"/>`",
);
const TLS: Kind = Unheeded("connections use TLS 1.2 or 1.3 with their usual suites");
const NO_TRANSACTION: Kind = Unheeded("transactions are not supported");
const LOOK_AHEAD: &str = "bodies are kept in memory here";
const STORE_ATTRIBUTES: &[Attr] = &[
    must("name", Text),
    or("persistent", Flag, "true"),
    may("entryTtl", Whole(0, i64::MAX)),
    or("entryTtlUnit", Word(TIME_UNITS), "SECONDS"),
    may("maxEntries", Whole(i64::MIN, i64::MAX)),
    or("expirationInterval", Whole(i64::MIN, i64::MAX), "1"),
    or("expirationIntervalUnit", Word(TIME_UNITS), "MINUTES"),
    may("config-ref", Idle),
];
const OF_KEY: &[Attr] = &[must("key", Value), may("objectStore", Text)];
const OF_KEY_WITH_TARGET: &[Attr] = &[
    must("key", Value),
    may("objectStore", Text),
    may("target", Text),
    or("targetValue", Script, "#[payload]"),
];
const OF_STORE_WITH_TARGET: &[Attr] =
    &[may("objectStore", Text), may("target", Text), or("targetValue", Script, "#[payload]")];
const STORE_PARTS: &[&str] = &["os:private-object-store", "error-mapping"];
const RESPONSE: &[Attr] =
    &[may("statusCode", WholeValue(100, 599)), may("reasonPhrase", Value)];
const RESPONSE_PARTS: &[&str] = &["http:body", "http:headers"];
const HANDLER: &[Attr] = &[
    may("name", Text),
    may("type", Text),
    may("when", Script),
    or("logException", Flag, "true"),
    may("enableNotifications", Idle),
];
const OF_VALUE: &[Attr] =
    &[must("value", Value), may("message", Message), may("config-ref", Idle)];
const OF_EXPRESSION: &[Attr] =
    &[must("expression", Value), may("message", Message), may("config-ref", Idle)];
const OF_VALUE_OR_PAYLOAD: &[Attr] =
    &[or("value", Value, "#[payload]"), may("message", Message), may("config-ref", Idle)];
const OF_VALUES: &[Attr] =
    &[or("values", Value, "#[payload]"), may("message", Message), may("config-ref", Idle)];
const OF_TIME: &[Attr] = &[
    must("time", WholeValue(0, i64::MAX)),
    must("timeUnit", Word(TIME_UNITS)),
    must("since", Value),
    may("message", Message),
    may("config-ref", Idle),
];
const ENGLISH: Kind = Unheeded("numbers and names are those of English");
const MAPPED: &[&str] = &["error-mapping"];

/// All supported elements, by module.
pub(super) const SHAPES: &[Shape] = &[
    // Elements outside flows.
    shape("flow", Global, &[must("name", Text), may("maxConcurrency", COUNT), may("initialState", Word(&["started", "stopped"]))],
        &["http:listener", "vm:listener", "scheduler", "error-handler"], Processors),
    shape("sub-flow", Global, &[must("name", Text)], &[], Processors),
    shape("configuration", Global, &[
        may("name", Text),
        may("defaultErrorHandler-ref", Text),
        or("defaultResponseTimeout", MILLIS, "10000"),
        may("shutdownTimeout", Unheeded("use `limits: { drain: … }` instead")),
        may("correlationIdGeneratorExpression", Refused("correlation ids are generated by a fixed rule", "remove it; clients may send an id in `X-Correlation-ID`")),
        may("inheritIterableRepeatability", Idle),
        may("maxQueueTransactionFilesSize", Idle),
    ], &[], Nothing),
    shape("global-property", Global, &[must("name", Text), must("value", Idle)], &[], Nothing),
    shape("secure-properties:config", Global, &[must("name", Idle), must("file", Idle), may("key", Idle), may("encoding", Idle), may("fileLevelEncryption", Idle)],
        &["secure-properties:encrypt"], Nothing),
    shape("secure-properties:encrypt", Part, &[may("algorithm", Idle), may("mode", Idle), may("useRandomIVs", Idle)], &[], Nothing),
    shape("configuration-properties", Global, &[must("file", Idle), may("name", Idle), may("encoding", Idle)], &[], Nothing),
    // Error handling.
    shape("error-handler", Handler, &[may("name", Text), may("ref", Text)], &["on-error-continue", "on-error-propagate", "on-error"], Nothing),
    shape("on-error-continue", Handler, HANDLER, &[], Processors),
    shape("on-error-propagate", Handler, HANDLER, &[], Processors),
    shape("on-error", Part, &[must("ref", Text)], &[], Nothing),
    shape("error-mapping", Part, &[or("sourceType", Text, "ANY"), must("targetType", Text)], &[], Nothing),
    // Processors of the core.
    shape("flow-ref", Processor, &[must("name", Value), may("target", Text), or("targetValue", Script, "#[payload]")], &[], Nothing),
    shape("set-variable", Processor, &[must("variableName", Value), must("value", Value), may("mimeType", Text), may("encoding", Text)], &[], Nothing),
    shape("remove-variable", Processor, &[must("variableName", Value)], &[], Nothing),
    shape("set-payload", Processor, &[must("value", Value), may("mimeType", Text), may("encoding", Text)], &[], Nothing),
    shape("parse-template", Processor, &[may("location", Text), may("target", Text), or("targetValue", Script, "#[payload]"), may("outputMimeType", Text), may("outputEncoding", UTF8)], &["content"], Words),
    shape("content", Part, &[], &[], Words),
    shape("logger", Processor, &[may("message", Message), or("level", Word(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]), "INFO"), may("category", Text)], &[], Nothing),
    shape("raise-error", Processor, &[must("type", Text), may("description", Value)], &[], Nothing),
    shape("choice", Processor, &[], &["when", "otherwise"], Nothing),
    shape("when", Part, &[must("expression", Script)], &[], Processors),
    shape("otherwise", Part, &[], &[], Processors),
    shape("try", Processor, &[may("transactionalAction", Word(&["ALWAYS_BEGIN", "BEGIN_OR_JOIN", "INDIFFERENT"])), may("transactionType", Word(&["LOCAL", "XA"]))],
        &["error-handler"], Processors),
    shape("until-successful", Processor, &[or("maxRetries", WholeValue(0, 1_000_000), "5"), or("millisBetweenRetries", MILLIS_VALUE, "60000")], &[], Processors),
    shape("foreach", Processor, &[
        or("collection", Script, "#[payload]"),
        or("counterVariableName", Text, "counter"),
        or("rootMessageVariableName", Text, "rootMessage"),
        or("batchSize", WholeValue(1, 1_000_000), "1"),
    ], &[], Processors),
    shape("parallel-foreach", Processor, &[
        or("collection", Script, "#[payload]"),
        may("maxConcurrency", COUNT),
        may("timeout", MILLIS),
        may("target", Text),
        or("targetValue", Script, "#[payload]"),
    ], &[], Processors),
    shape("scatter-gather", Processor, &[may("maxConcurrency", COUNT), may("timeout", MILLIS), may("target", Text), or("targetValue", Script, "#[payload]")], &["route"], Nothing),
    shape("first-successful", Processor, &[], &["route"], Nothing),
    shape("round-robin", Processor, &[], &["route"], Nothing),
    shape("route", Part, &[], &[], Processors),
    shape("async", Processor, &[may("maxConcurrency", COUNT), may("name", Idle)], &[], Processors),
    shape("idempotent-message-validator", Processor, &[
        or("idExpression", Script, "#[correlationId]"),
        or("valueExpression", Script, "#[correlationId]"),
        may("objectStore", Text),
        may("storePrefix", Idle),
    ], &["os:private-object-store"], Nothing),
    // Time.
    shape("scheduler", Source, &[may("disallowConcurrentExecution", Flag)], &["redelivery-policy", "scheduling-strategy", "reconnect", "reconnect-forever"], Nothing),
    shape("redelivery-policy", Part, &[
        or("maxRedeliveryCount", Whole(0, 1_000_000), "5"),
        or("useSecureHash", Flag, "true"),
        may("messageDigestAlgorithm", Text),
        may("idExpression", Script),
        may("objectStore", Text),
    ], &["os:private-object-store"], Nothing),
    shape("scheduling-strategy", Part, &[], &["fixed-frequency", "cron"], Nothing),
    shape("cron", Part, &[must("expression", Text), may("timeZone", Text)], &[], Nothing),
    shape("fixed-frequency", Part, &[or("frequency", Whole(1, i64::MAX), "60000"), or("startDelay", Whole(0, i64::MAX), "0"), or("timeUnit", Word(TIME_UNITS), "MILLISECONDS")], &[], Nothing),
    // Enterprise.
    shape("ee:transform", Processor, &[], &["ee:message", "ee:variables", "ee:set-payload", "ee:set-attributes", "ee:set-variable"], Nothing),
    shape("ee:message", Part, &[], &["ee:set-payload", "ee:set-attributes", "ee:set-variable"], Nothing),
    shape("ee:variables", Part, &[], &["ee:set-variable", "ee:set-payload", "ee:set-attributes"], Nothing),
    shape("ee:set-payload", Part, &[may("resource", Text)], &[], Words),
    shape("ee:set-attributes", Part, &[may("resource", Text)], &[], Words),
    shape("ee:set-variable", Part, &[must("variableName", Value), may("resource", Text)], &[], Words),
    shape("ee:cache", Processor, &[
        may("cachingStrategy-ref", Text),
        may("keyExpression", Script),
        may("filterExpression", Refused("every result is cached", "put steps that must not be cached before or after it, in a `choice`")),
    ], &[], Processors),
    shape("ee:invalidate-cache", Processor, &[must("cachingStrategy-ref", Text), may("keyExpression", Script)], &[], Nothing),
    shape("ee:invalidate-key", Processor, &[must("cachingStrategy-ref", Text), may("keyGenerationExpression", Script)], &[], Nothing),
    shape("ee:object-store-caching-strategy", Global, &[
        must("name", Text),
        may("objectStore", Text),
        may("keyGenerationExpression", Script),
        may("synchronized", Unheeded("concurrent misses of a key all run")),
    ], &["os:private-object-store"], Nothing),
    // HTTP.
    shape("http:listener-config", Global, &[must("name", Text), or("basePath", Text, "/"), may("listenerInterceptors", Idle), may("rejectInvalidTransferEncoding", Idle)],
        &["http:listener-connection", "http:listener-interceptors", "expiration-policy"], Nothing),
    shape("http:listener-interceptors", Part, &[], &["http:cors-interceptor"], Nothing),
    shape("http:cors-interceptor", Part, &[or("allowCredentials", Flag, "false")], &["http:origins"], Nothing),
    shape("http:origins", Part, &[], &["http:public-resource", "http:origin"], Nothing),
    shape("http:public-resource", Part, &[], &[], Nothing),
    shape("http:origin", Part, &[must("url", Text), or("accessControlMaxAge", Whole(0, 31_622_400), "30")], &["http:allowed-methods", "http:allowed-headers", "http:expose-headers"], Nothing),
    shape("http:allowed-methods", Part, &[], &["http:method"], Nothing),
    shape("http:allowed-headers", Part, &[], &["http:header"], Nothing),
    shape("http:expose-headers", Part, &[], &["http:header"], Nothing),
    shape("http:method", Part, &[must("methodName", Text)], &[], Nothing),
    shape("http:header", Part, &[must("headerName", Text)], &[], Nothing),
    shape("http:listener-connection", Part, &[
        or("host", Text, "0.0.0.0"),
        must("port", Whole(0, 65_535)),
        or("protocol", Word(&["HTTP", "HTTPS"]), "HTTP"),
        or("connectionIdleTimeout", MILLIS, "40000"),
        may("readTimeout", Unheeded("use `limits: { head_timeout: … }` and `body_rate` instead")),
        may("usePersistentConnections", Unheeded("connections are kept as long as clients wish")),
        may("tlsContext", Text),
    ], &["tls:context", "reconnection"], Nothing),
    shape("http:listener", Source, &[
        must("config-ref", Text),
        must("path", Text),
        may("allowedMethods", Text),
        may("responseStreamingMode", Idle),
        may("primaryNodeOnly", Idle),
        may("outputMimeType", Text),
        may("outputEncoding", UTF8),
    ], &["redelivery-policy", "http:response", "http:error-response", "repeatable-in-memory-stream", "repeatable-file-store-stream", "ee:repeatable-file-store-stream", "non-repeatable-stream", "reconnection", "reconnect", "reconnect-forever"], Nothing),
    shape("http:response", Part, RESPONSE, RESPONSE_PARTS, Nothing),
    shape("http:error-response", Part, RESPONSE, RESPONSE_PARTS, Nothing),
    shape("http:body", Part, &[], &[], Words),
    shape("http:headers", Part, &[], &[], Words),
    shape("http:uri-params", Part, &[], &[], Words),
    shape("http:query-params", Part, &[], &[], Words),
    shape("http:request-config", Global, &[
        must("name", Text),
        or("basePath", Value, "/"),
        may("responseTimeout", MILLIS),
        or("followRedirects", Flag, "true"),
        or("sendBodyMode", Word(SEND_BODY), "AUTO"),
        or("enableCookies", Flag, "true"),
        may("requestStreamingMode", Idle),
        may("preserveHeadersCase", Unheeded("names of headers are sent in lower case")),
        or("sendCorrelationId", Word(SEND_CORRELATION), "AUTO"),
    ], &["http:request-connection", "http:default-headers", "http:default-query-params", "http:response-validator", "expiration-policy"], Nothing),
    shape("http:request-connection", Part, &[
        may("host", Value),
        may("port", WholeValue(1, 65_535)),
        or("protocol", Word(&["HTTP", "HTTPS"]), "HTTP"),
        or("maxConnections", Whole(-1, 1_000_000), "-1"),
        or("connectionIdleTimeout", MILLIS, "30000"),
        or("usePersistentConnections", Flag, "true"),
        may("streamResponse", Idle),
        may("responseBufferSize", Idle),
        may("tlsContext", Text),
    ], &["tls:context", "http:authentication", "http:client-socket-properties", "http:connectivity-test", "reconnection", "http:default-headers"], Nothing),
    shape("http:connectivity-test", Accepted("servers are not asked before a flow calls them"), &[], &[], Free),
    shape("http:authentication", Part, &[], &["http:basic-authentication"], Nothing),
    shape("http:basic-authentication", Part, &[must("username", Value), must("password", Value), or("preemptive", FlagValue, "true")], &[], Nothing),
    shape("http:client-socket-properties", Part, &[], &["sockets:tcp-client-socket-properties"], Nothing),
    shape("sockets:tcp-client-socket-properties", Part, &[
        or("connectionTimeout", MILLIS, "30000"),
        may("clientTimeout", Unheeded("`responseTimeout` limits the exchange")),
        may("keepAlive", Idle),
        may("sendTcpNoDelay", Idle),
        may("linger", Idle),
        may("sendBufferSize", Idle),
        may("receiveBufferSize", Idle),
        may("failOnUnresolvedHost", Idle),
        may("name", Idle),
    ], &[], Nothing),
    shape("http:default-headers", Part, &[], &["http:default-header"], Nothing),
    shape("http:default-query-params", Part, &[], &["http:default-query-param"], Nothing),
    shape("http:default-query-param", Part, &[must("key", Value), must("value", Value)], &[], Nothing),
    shape("http:default-header", Part, &[must("key", Value), must("value", Value)], &[], Nothing),
    shape("http:request", Processor, &[
        may("config-ref", Text),
        or("path", Value, "/"),
        may("url", Value),
        or("method", Value, "GET"),
        may("responseTimeout", MILLIS_VALUE),
        may("followRedirects", FlagValue),
        may("sendBodyMode", Word(SEND_BODY)),
        may("requestStreamingMode", Idle),
        or("sendCorrelationId", Word(SEND_CORRELATION), "AUTO"),
        may("correlationId", Value),
        may("outputMimeType", Text),
        may("outputEncoding", UTF8),
        may("target", Text),
        or("targetValue", Script, "#[payload]"),
    ], &["http:body", "http:headers", "http:uri-params", "http:query-params", "http:response-validator", "error-mapping",
        "repeatable-in-memory-stream", "repeatable-file-store-stream", "ee:repeatable-file-store-stream", "non-repeatable-stream", "reconnect", "reconnect-forever"], Nothing),
    shape("http:load-static-resource", Processor, &[
        must("resourceBasePath", Value),
        or("defaultFile", Value, "index.html"),
        or("attributes", Script, "#[attributes]"),
        may("outputMimeType", NO_RETYPE),
        may("outputEncoding", UTF8),
        may("target", Text),
        or("targetValue", Script, "#[payload]"),
    ], MAPPED, Nothing),
    shape("http:response-validator", Part, &[], &["http:success-status-code-validator", "http:failure-status-code-validator"], Nothing),
    shape("http:success-status-code-validator", Part, &[must("values", Text)], &[], Nothing),
    shape("http:failure-status-code-validator", Part, &[must("values", Text)], &[], Nothing),
    shape("tls:context", Global, &[may("name", Text), may("enabledProtocols", TLS), may("enabledCipherSuites", TLS)],
        &["tls:trust-store", "tls:key-store"], Nothing),
    shape("tls:trust-store", Part, &[may("path", Text), may("type", Text), or("insecure", Flag, "false"), may("password", Text), may("algorithm", Idle)], &[], Nothing),
    shape("tls:key-store", Part, &[may("path", Text), may("type", Text), may("alias", Text), may("password", Text), may("keyPassword", Text), may("algorithm", Idle)], &[], Nothing),
    // APIkit.
    shape("apikit:config", Global, &[
        must("name", Text),
        may("api", Text),
        may("raml", Text),
        or("disableValidations", Flag, "false"),
        may("outboundHeadersMapName", Text),
        may("httpStatusVarName", Text),
        may("keepApiBaseUri", Idle),
        may("keepRamlBaseUri", Idle),
        may("parser", Idle),
        may("queryParamsStrictValidation", Idle),
        may("headersStrictValidation", Idle),
        may("attributesStrictValidation", Idle),
        may("consoleEnabled", Idle),
        may("consolePath", Idle),
    ], &["apikit:flow-mappings"], Nothing),
    shape("apikit:flow-mappings", Part, &[], &["apikit:flow-mapping"], Nothing),
    shape("apikit:flow-mapping", Part, &[must("resource", Text), must("action", Text), may("content-type", Text), must("flow-ref", Text)], &[], Nothing),
    shape("apikit:router", Processor, &[must("config-ref", Text)], &[], Nothing),
    shape("apikit:console", Processor, &[must("config-ref", Text)], &[], Nothing),
    // Object stores.
    shape("os:object-store", Global, STORE_ATTRIBUTES, &[], Nothing),
    shape("os:private-object-store", Part, &[
        or("alias", Text, "private"),
        or("persistent", Flag, "true"),
        may("entryTtl", Whole(0, i64::MAX)),
        or("entryTtlUnit", Word(TIME_UNITS), "SECONDS"),
        may("maxEntries", Whole(i64::MIN, i64::MAX)),
        or("expirationInterval", Whole(i64::MIN, i64::MAX), "1"),
        or("expirationIntervalUnit", Word(TIME_UNITS), "MINUTES"),
        may("config-ref", Idle),
    ], &[], Nothing),
    shape("os:config", Global, &[must("name", Text)], &["reconnection", "os:connection"], Nothing),
    shape("os:connection", Accepted("`--store` sets the place of objects"), &[], &[], Free),
    shape("os:store", Processor, &[must("key", Value), may("objectStore", Text), or("failIfPresent", FlagValue, "false"), or("failOnNullValue", FlagValue, "true"), may("value", Value)],
        &["os:value", "os:private-object-store", "error-mapping"], Nothing),
    shape("os:retrieve", Processor, OF_KEY_WITH_TARGET, &["os:default-value", "os:private-object-store", "error-mapping"], Nothing),
    shape("os:contains", Processor, OF_KEY_WITH_TARGET, STORE_PARTS, Nothing),
    shape("os:remove", Processor, OF_KEY, STORE_PARTS, Nothing),
    shape("os:clear", Processor, &[may("objectStore", Text)], STORE_PARTS, Nothing),
    shape("os:retrieve-all-keys", Processor, OF_STORE_WITH_TARGET, STORE_PARTS, Nothing),
    shape("os:retrieve-all", Processor, OF_STORE_WITH_TARGET, STORE_PARTS, Nothing),
    shape("os:value", Part, &[], &[], Words),
    shape("os:default-value", Part, &[], &[], Words),
    // Queues.
    shape("vm:config", Global, &[must("name", Text)], &["vm:queues", "vm:connection", "reconnection"], Nothing),
    shape("vm:connection", Accepted("queues are part of this program"), &[], &[], Free),
    shape("vm:queues", Part, &[], &["vm:queue"], Nothing),
    shape("vm:queue", Part, &[must("queueName", Text), or("queueType", Word(&["TRANSIENT", "PERSISTENT"]), "TRANSIENT"), or("maxOutstandingMessages", Whole(0, 1_000_000_000), "0")], &[], Nothing),
    shape("vm:listener", Source, &[
        must("config-ref", Text),
        must("queueName", Text),
        or("numberOfConsumers", Whole(1, 1_000), "4"),
        may("transactionalAction", NO_TRANSACTION),
        may("transactionType", NO_TRANSACTION),
        may("timeout", Idle),
        may("timeoutUnit", Idle),
        may("primaryNodeOnly", Idle),
        may("outputMimeType", NO_RETYPE),
    ], &["redelivery-policy", "vm:response", "reconnection", "reconnect", "reconnect-forever"], Nothing),
    shape("vm:response", Part, &[], &["vm:content"], Nothing),
    shape("vm:publish", Processor, &[
        must("config-ref", Text),
        must("queueName", Text),
        or("timeout", Whole(0, 1_000_000_000), "5"),
        or("timeoutUnit", Word(TIME_UNITS), "SECONDS"),
        may("sendCorrelationId", Idle),
        may("correlationId", Unheeded("a message has the id of its event")),
        may("transactionalAction", NO_TRANSACTION),
    ], &["vm:content", "vm:properties", "error-mapping", "reconnect", "reconnect-forever"], Nothing),
    shape("vm:publish-consume", Processor, &[
        must("config-ref", Text),
        must("queueName", Text),
        or("timeout", Whole(0, 1_000_000_000), "5"),
        or("timeoutUnit", Word(TIME_UNITS), "SECONDS"),
        may("sendCorrelationId", Idle),
        may("correlationId", Unheeded("a message has the id of its event")),
        may("transactionalAction", NO_TRANSACTION),
        may("target", Text),
        or("targetValue", Script, "#[payload]"),
    ], &["vm:content", "vm:properties", "error-mapping", "reconnect", "reconnect-forever"], Nothing),
    shape("vm:consume", Processor, &[
        must("config-ref", Text),
        must("queueName", Text),
        or("timeout", Whole(0, 1_000_000_000), "5"),
        or("timeoutUnit", Word(TIME_UNITS), "SECONDS"),
        may("transactionalAction", NO_TRANSACTION),
        may("outputMimeType", NO_RETYPE),
        may("target", Text),
        or("targetValue", Script, "#[payload]"),
    ], MAPPED, Nothing),
    shape("vm:content", Part, &[], &[], Words),
    shape("vm:properties", Accepted("a queue carries payloads only"), &[], &[], Free),
    // Validations.
    shape("validation:config", Global, &[may("name", Text)], &["validation:i18n"], Nothing),
    shape("validation:i18n", Accepted("messages are not translated"), &[], &[], Free),
    shape("validation:is-not-null", Processor, OF_VALUE, MAPPED, Nothing),
    shape("validation:is-null", Processor, OF_VALUE, MAPPED, Nothing),
    shape("validation:is-true", Processor, OF_EXPRESSION, MAPPED, Nothing),
    shape("validation:is-false", Processor, OF_EXPRESSION, MAPPED, Nothing),
    shape("validation:is-not-blank-string", Processor, OF_VALUE_OR_PAYLOAD, MAPPED, Nothing),
    shape("validation:is-blank-string", Processor, OF_VALUE, MAPPED, Nothing),
    shape("validation:is-not-empty-collection", Processor, OF_VALUES, MAPPED, Nothing),
    shape("validation:is-empty-collection", Processor, OF_VALUES, MAPPED, Nothing),
    shape("validation:is-email", Processor, &[must("email", Value), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:is-url", Processor, &[must("url", Value), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:is-ip", Processor, &[must("ip", Value), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:is-allowed-ip", Processor, &[must("ipAddress", Value), must("allowList", Text), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:is-not-denied-ip", Processor, &[must("ipAddress", Value), must("denyList", Text), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:ip-filter-list", Global, &[must("name", Text)], &["validation:ips"], Nothing),
    shape("validation:ips", Part, &[], &["validation:ip"], Nothing),
    shape("validation:ip", Part, &[must("value", Text)], &[], Nothing),
    shape("validation:is-number", Processor, &[
        must("value", Value),
        must("numberType", Value),
        may("minValue", Value),
        may("maxValue", Value),
        may("pattern", Refused("numbers are read as in English", "validate by `validation:is-true`")),
        may("locale", ENGLISH),
        may("message", Message),
        may("config-ref", Idle),
    ], MAPPED, Nothing),
    shape("validation:is-time", Processor, &[must("time", Value), must("pattern", Value), may("locale", ENGLISH), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:is-elapsed", Processor, OF_TIME, MAPPED, Nothing),
    shape("validation:is-not-elapsed", Processor, OF_TIME, MAPPED, Nothing),
    shape("validation:matches-regex", Processor, &[must("value", Value), must("regex", Value), or("caseSensitive", FlagValue, "true"), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:validate-size", Processor, &[must("value", Value), or("min", WholeValue(0, i64::MAX), "0"), may("max", WholeValue(0, i64::MAX)), may("message", Message), may("config-ref", Idle)], MAPPED, Nothing),
    shape("validation:all", Processor, &[], &[], Processors),
    shape("validation:any", Processor, &[], &[], Processors),
    // Scripts.
    shape("scripting:execute", Processor, &[
        must("engine", Text),
        may("target", Unheeded("a sleep has no result, so the variable stays null")),
        may("targetValue", Idle),
    ], &["scripting:code", "error-mapping"], Nothing),
    shape("scripting:code", Part, &[], &[], Words),
    // Policies. The proxy and its parts become sub-flows before elements are read.
    shape("http-policy:proxy", Global, &[must("name", Text)], &["http-policy:source", "http-policy:operation"], Nothing),
    shape("http-policy:source", Part, &[or("propagateMessageTransformations", Flag, "false")], &[], Processors),
    shape("http-policy:operation", Part, &[or("propagateMessageTransformations", Flag, "false")], &[], Processors),
    shape("http-policy:execute-next", Processor, &[], &[], Nothing),
    shape("http-transform:add-headers", Processor, &[or("outputType", Word(&["request", "response"]), "response")], &["http-transform:headers"], Nothing),
    shape("http-transform:add-request-headers", Processor, &[], &["http-transform:headers"], Nothing),
    shape("http-transform:add-response-headers", Processor, &[], &["http-transform:headers"], Nothing),
    shape("http-transform:add-headers-list", Processor, &[or("outputType", Word(&["request", "response"]), "response")], &["http-transform:new-headers"], Nothing),
    shape("http-transform:add-request-headers-list", Processor, &[], &["http-transform:new-headers"], Nothing),
    shape("http-transform:add-response-headers-list", Processor, &[], &["http-transform:new-headers"], Nothing),
    shape("http-transform:new-headers", Part, &[], &["http-transform:header"], Nothing),
    shape("http-transform:header", Part, &[must("headerName", Value), must("headerValue", Value)], &[], Nothing),
    shape("http-transform:remove-headers", Processor, &[may("outputType", Idle)], &["http-transform:header-names"], Nothing),
    shape("http-transform:header-names", Part, &[], &[], Words),
    shape("http-transform:set-response", Processor, &[may("statusCode", WholeValue(100, 599)), may("reasonPhrase", Value)],
        &["http-transform:body", "http-transform:headers"], Nothing),
    shape("http-transform:set-requester-request", Processor, &[may("requestPath", Value)],
        &["http-transform:body", "http-transform:headers", "http-transform:uri-params", "http-transform:query-params"], Nothing),
    shape("http-transform:body", Part, &[], &[], Words),
    shape("http-transform:headers", Part, &[], &[], Words),
    shape("http-transform:uri-params", Part, &[], &[], Words),
    shape("http-transform:query-params", Part, &[], &[], Words),
    // Elements without effect here.
    shape("reconnection", Accepted("connections are reopened when needed"), &[], &[], Free),
    shape("reconnect", Accepted("connections are reopened when needed"), &[], &[], Free),
    shape("reconnect-forever", Accepted("connections are reopened when needed"), &[], &[], Free),
    shape("expiration-policy", Accepted("configurations live as long as the application"), &[], &[], Free),
    shape("repeatable-in-memory-stream", Accepted(LOOK_AHEAD), &[], &[], Free),
    shape("repeatable-file-store-stream", Accepted(LOOK_AHEAD), &[], &[], Free),
    shape("ee:repeatable-file-store-stream", Accepted(LOOK_AHEAD), &[], &[], Free),
    shape("non-repeatable-stream", Accepted(LOOK_AHEAD), &[], &[], Free),
];

const SEND_BODY: &[&str] = &["AUTO", "ALWAYS", "NEVER"];
const SEND_CORRELATION: &[&str] = &["AUTO", "ALWAYS", "NEVER"];

/// Element names in published flows that are not Mule's, each with the right name, which
/// [`Compat::Intent`](super::Compat::Intent) accepts.
pub(super) const ELEMENT_ALIASES: &[(&str, &str)] = &[
    ("parallel-for-each", "parallel-foreach"),
    ("validation:is-not-blank", "validation:is-not-blank-string"),
    ("http-transform:set-request", "http-transform:set-requester-request"),
];

/// Attribute names in published flows that are not Mule's: element, attribute, right name.
pub(super) const ATTRIBUTE_ALIASES: &[(&str, &str, &str)] = &[
    ("http:listener", "method", "allowedMethods"),
];

/// Finds the shape of an element by its name with prefix.
pub(super) fn find(name: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.name == name)
}

impl Shape {
    /// Finds the shape of an attribute by name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attr> {
        self.attributes.iter().find(|attr| attr.name == name)
    }

    /// True if an element with this name may be a child.
    pub fn allows(&self, name: &str) -> bool {
        self.parts.contains(&name)
    }
}
