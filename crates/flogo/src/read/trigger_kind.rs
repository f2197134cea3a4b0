//! The kinds of triggers, the settings that each reads, and their TLS.

use fusebox_plan::dialect::{PemFile, pair, quote};
use fusebox_plan::plan::{ListenerTls, PemSource};

use crate::read::actions::Actions;
use crate::read::object::Object;
use crate::read::reader::Reader;
use crate::read::refs::{ContributionKind, import_mend, tail};
use crate::read::settings::Settings;

/// The kind of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TriggerKind {
    Rest,
    Channel,
    Swagger,
    Sockets,
    Grpc,
}

impl TriggerKind {
    /// The settings that the trigger reads.
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            TriggerKind::Rest => &["port", "enableTLS", "certFile", "keyFile", "description"],
            TriggerKind::Swagger => &["port", "description"],
            TriggerKind::Grpc => &[
                "port",
                "protoName",
                "protoFile",
                "serviceName",
                "enableTLS",
                "serverCert",
                "serverKey",
            ],
            TriggerKind::Sockets => &[
                "port",
                "enableTLS",
                "serverCert",
                "serverKey",
                "enableClientAuth",
                "trustStore",
            ],
            TriggerKind::Channel => &[],
        }
    }

    /// The settings that its handlers read.
    pub fn handler_settings(self) -> &'static [&'static str] {
        match self {
            TriggerKind::Rest | TriggerKind::Swagger => &["method", "path"],
            TriggerKind::Sockets => &["method", "path", "mode", "format"],
            TriggerKind::Grpc => &["serviceName", "methodName"],
            TriggerKind::Channel => &["channel"],
        }
    }
}

/// The kind of a trigger: from `ref`, or from the older `type`, which is short for `#type`.
pub(super) fn kind(
    trigger: Object<'_>,
    actions: &Actions<'_>,
    reader: &mut Reader<'_>,
) -> Option<TriggerKind> {
    let (text, reference) = match trigger.word("ref", reader.notes) {
        Some(text) => (text, text.get().to_owned()),
        None => match trigger.word("type", reader.notes) {
            Some(text) => (text, format!("#{}", text.get())),
            None => {
                let mend = "add `\"ref\": \"github.com/project-flogo/contrib/trigger/rest\"`";
                return reader.refuse(trigger.at, "a trigger has no ref", mend);
            }
        },
    };
    let sort = ContributionKind::Trigger;
    let path = match actions.imports.resolve(&reference, sort) {
        Ok(path) => path,
        Err(what) => return reader.refuse(text.at, what, import_mend(&reference, sort)),
    };
    match tail(path) {
        (ContributionKind::Trigger, "rest") => Some(TriggerKind::Rest),
        (ContributionKind::Trigger, "channel") => Some(TriggerKind::Channel),
        // It was a part of the core at first, `…/core/swagger`.
        (ContributionKind::Trigger | ContributionKind::Other, "swagger") => {
            Some(TriggerKind::Swagger)
        }
        (ContributionKind::Trigger, "wsserver") => Some(TriggerKind::Sockets),
        (ContributionKind::Trigger, "grpc") => Some(TriggerKind::Grpc),
        // Its first place.
        (_, "trigger") if path.trim_end_matches('/').ends_with("/grpc/trigger") => {
            Some(TriggerKind::Grpc)
        }
        _ => reader.refuse(
            text.at,
            format!("trigger '{path}' not registered"),
            "use the REST trigger (`…/trigger/rest`), the channel trigger (`…/trigger/channel`) or the swagger trigger (`…/trigger/swagger`); run other triggers where they ran, and let them call over HTTP",
        ),
    }
}

/// The certificate and the key of a trigger; `None` without TLS, and after an error.
pub(super) fn tls(
    kind: TriggerKind,
    settings: &Settings<'_>,
    reader: &mut Reader<'_>,
) -> Option<ListenerTls> {
    if !settings.flag("enableTLS", reader.notes).unwrap_or(false) {
        return None;
    }
    if settings.flag("enableClientAuth", reader.notes) == Some(true) {
        let what = "`enableClientAuth` is not supported";
        let mend = "check the certificates of clients before the gateway, or turn it off";
        return reader.refuse(settings.place("enableClientAuth"), what, mend);
    }
    let mut pem = |key: &str| {
        let Some(path) = settings.text(key) else {
            let what = format!("`enableTLS` needs `{key}`");
            let mend = "name a certificate and its key, both PEM files, or turn TLS off";
            return reader.refuse(settings.place("enableTLS"), what, mend);
        };
        let path = path.strip_prefix("file://").unwrap_or(&path);
        let read = reader.loader.local(path);
        let (at, shown) = (settings.place(key), quote(path));
        let base = "the directory that the program was started in";
        let file = PemSource {
            named: path.to_owned(),
            on_disk: path.into(),
        };
        PemFile::read(at, file, shown, read, base, reader.notes)
    };
    let (certificate, key) = match kind {
        TriggerKind::Sockets | TriggerKind::Grpc => ("serverCert", "serverKey"),
        _ => ("certFile", "keyFile"),
    };
    let (certificate, key) = (pem(certificate), pem(key));
    pair(certificate?, key?, reader.loader, reader.notes).map(ListenerTls::from)
}
