//! TLS of listeners and requests: `tls:context`, in its place or by its name.
//!
//! Mule keeps certificates and keys in Java's stores; here they are PEM files, `type="pem"`. A Java store is refused with
//! the command that makes PEM of it.
//!
//! Source: [TLS configuration](https://docs.mulesoft.com/mule-runtime/latest/tls-configuration).

use std::collections::BTreeMap;

use fusebox_plan::dialect::{At, PemFile, Place, pair, quote};
use fusebox_plan::plan::{Authorities, ClientAuth, KeyPair, ListenerTls, PemSource};

use super::Lowering;
use super::names::name_of;
use super::open::Open;
use super::values::Written;
use crate::app::ClientTls;
use crate::properties::{Kind, Names};
use crate::xml::Element;

const CONTEXT: &str = "tls:context";

/// The contexts that have been read, by position; `None`: a context with an error, which is reported.
pub(super) type Contexts = BTreeMap<Place, Option<Context>>;

/// The stores of a context.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// The authorities of the other side, in PEM.
    authorities: Option<Authorities>,
    /// True to accept any certificate of the other side.
    insecure: bool,
    identity: Option<KeyPair>,
}

impl<'a> Lowering<'a> {
    /// The certificate of a listener's connection.
    pub fn listener_tls(&mut self, connection: &Open<'a>) -> Option<ListenerTls> {
        let is_tls = self.word(connection, "protocol") == Some("HTTPS");
        let Some(element) = self.context_of(connection) else {
            if is_tls && !connection.has("tlsContext") {
                let what = "an HTTPS listener needs a certificate: it has no `tls:context`";
                let mend = "add `<tls:context><tls:key-store type=\"pem\" path=\"server.pem\"/></tls:context>`";
                self.error(connection.at(), what, mend);
            }
            return None;
        };
        let context = self.context(element)?;
        if !is_tls {
            self.no_tls(element.at);
            return None;
        }
        let Some(pair) = context.identity else {
            let what =
                "an HTTPS listener needs a certificate: its `tls:context` has no `tls:key-store`";
            let mend = "add `<tls:key-store type=\"pem\" path=\"server.pem\"/>`";
            self.error(element.at, what, mend);
            return None;
        };
        let authorities = context.authorities.filter(|_| !context.insecure);
        Some(ListenerTls {
            clients: authorities.map(|authorities| ClientAuth {
                authorities,
                is_required: true,
            }),
            ..ListenerTls::from(pair)
        })
    }

    /// The trust of a request's connection; `None`: that of the gateway.
    pub fn client_tls(&mut self, connection: &Open<'a>) -> Option<ClientTls> {
        let element = self.context_of(connection)?;
        let context = self.context(element)?;
        if self.word(connection, "protocol") != Some("HTTPS") {
            self.no_tls(element.at);
            return None;
        }
        Some(ClientTls {
            verified: !context.insecure,
            authorities: context.authorities.map(|it| it.pem),
            identity: context.identity,
        })
    }

    fn no_tls(&mut self, at: Place) {
        let what = "this `tls:context` has no effect: the connection is not of the protocol HTTPS";
        self.warn(
            at,
            what,
            "add `protocol=\"HTTPS\"` to the connection, or remove it",
        );
    }

    /// The context of a connection, in it or by its name.
    fn context_of(&mut self, connection: &Open<'a>) -> Option<&'a Element> {
        let own = self.part(connection, CONTEXT);
        let named = self.text(connection, "tlsContext");
        match (own, named) {
            (Some(own), Some(named)) => {
                let what = "the connection names a TLS context, and has one of its own";
                self.error(named.at(), what, "keep one of the two");
                Some(own)
            }
            (Some(own), None) => Some(own),
            (None, Some(name)) => self.known(name, &[CONTEXT], "TLS context", "remove it"),
            (None, None) => None,
        }
    }

    fn context(&mut self, element: &'a Element) -> Option<Context> {
        if let Some(known) = self.contexts.get(&element.at) {
            return known.clone();
        }
        let errors = self.notes.errors();
        let mut context = Context::default();
        // One outside flows is checked as such.
        if let Some(open) = self.open_silently(element) {
            if let Some(store) = self.open_part(&open, "tls:trust-store") {
                context.insecure = self.flag(&store, "insecure") == Some(true);
                if context.insecure {
                    let what = "`insecure` turns off the check of certificates, so anyone on the network path can read and change all traffic";
                    let mend = "remove it, and name the authority's certificate: `type=\"pem\" path=\"ca.pem\"`";
                    self.warn(store.at(), what, mend);
                }
                if store.has("path") {
                    context.authorities = self.authorities(&store);
                } else if !context.insecure {
                    let what = "`tls:trust-store` has no `path`";
                    self.error(store.at(), what, "add `path=\"ca.pem\" type=\"pem\"`");
                }
            }
            if let Some(store) = self.open_part(&open, "tls:key-store") {
                context.identity = self.identity(&store);
            }
        }
        let context = (self.notes.errors() == errors).then_some(context);
        self.contexts.insert(element.at, context.clone());
        context
    }

    /// Opens a context; one outside flows has been checked already.
    fn open_silently(&mut self, element: &'a Element) -> Option<Open<'a>> {
        let name = name_of(element).map(|name| name.value.as_str());
        let global = name.and_then(|name| self.globals.find(name, &[CONTEXT]));
        match global.is_some_and(|global| std::ptr::eq(global, element)) {
            true => {
                let shape = super::shapes::find(CONTEXT)?;
                Some(Open { element, shape })
            }
            false => self.open(element),
        }
    }

    /// The certificates of a trust store.
    fn authorities(&mut self, store: &Open<'a>) -> Option<Authorities> {
        let (path, place, text) = self.pem(store)?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            let what = format!("expected a certificate in the file {}", quote(path.text));
            let mend = "name a file with `-----BEGIN CERTIFICATE-----`";
            self.wrong(path, what, mend);
            return None;
        }
        let file = source(place);
        Some(Authorities { file, pem: text })
    }

    /// The certificate chain and the key of a key store, which are in one file.
    fn identity(&mut self, store: &Open<'a>) -> Option<KeyPair> {
        let (path, place, text) = self.pem(store)?;
        let shown = quote(path.text);
        if !text.contains("-----BEGIN ") {
            let what = format!("the file {shown} is not PEM");
            let mend = "put the certificate chain and the private key into it, both as PEM";
            self.wrong(path, what, mend);
            return None;
        }
        let mut file = || {
            let (name, text) = (source(place.clone()), Ok(text.clone()));
            PemFile::read(
                path.at(),
                name,
                shown.clone(),
                text,
                "the project",
                self.notes,
            )
        };
        let (chain, key) = (file()?, file()?);
        pair(chain, key, self.loader, self.notes)
    }

    /// The path of a store's file as written and as found, and its text, if it is PEM by its type or name.
    fn pem(&mut self, store: &Open<'a>) -> Option<(Written<'a>, String, String)> {
        let path = self.text(store, "path")?;
        let kind = self
            .text(store, "type")
            .map(|kind| kind.text.trim().to_ascii_lowercase());
        let named = path.text.trim().to_ascii_lowercase();
        let is_pem = match kind.as_deref() {
            Some(kind) => kind == "pem",
            None => [".pem", ".crt", ".cer"]
                .iter()
                .any(|end| named.ends_with(end)),
        };
        if !is_pem {
            let is_pkcs12 = match kind.as_deref() {
                Some(kind) => kind == "pkcs12",
                None => named.ends_with(".p12") || named.ends_with(".pfx"),
            };
            self.refuse_store(store, path, is_pkcs12);
            return None;
        }
        let sought = path.text.trim();
        let sought = sought.strip_prefix("classpath:").unwrap_or(sought);
        let sought = At {
            at: path.at(),
            value: sought.to_owned(),
        };
        let mut all: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        let given = all.len();
        let mut names = Names {
            all: &mut all,
            given,
        };
        let file = path.at().file;
        let (index, text) = names.open(&sought, file, Kind::Resource, self.loader, self.notes)?;
        let found = all.swap_remove(index);
        Some((path, found, text?))
    }

    /// Refuses a Java store with the command that makes PEM of it.
    fn refuse_store(&mut self, store: &Open<'a>, path: Written<'a>, is_pkcs12: bool) {
        let file = path.text.trim();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let command = match (store.shape.name, is_pkcs12) {
            ("tls:trust-store", true) => {
                format!("openssl pkcs12 -in {file} -nokeys -out {stem}.pem")
            }
            ("tls:trust-store", false) => {
                format!("keytool -list -rfc -keystore {file} > {stem}.pem")
            }
            (_, true) => format!("openssl pkcs12 -in {file} -nodes -out {stem}.pem"),
            (_, false) => format!(
                "keytool -importkeystore -srckeystore {file} -destkeystore {stem}.p12 -deststoretype PKCS12 && openssl pkcs12 -in {stem}.p12 -nodes -out {stem}.pem"
            ),
        };
        let what = format!("{} is a Java store, which is not read", quote(file));
        let mend =
            format!("make PEM of it, `{command}`, and write `type=\"pem\" path=\"{stem}.pem\"`");
        self.wrong(path, what, mend);
    }
}

/// A file by the path at which it was found, which is one from the working directory.
fn source(found: String) -> PemSource {
    PemSource {
        on_disk: found.clone().into(),
        named: found,
    }
}
