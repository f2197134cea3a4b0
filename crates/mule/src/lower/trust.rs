//! TLS of listeners and requests: `tls:context`, in its place or by its name.
//!
//! Certificates and keys are in PEM files or in Java's stores of the form PKCS12. A store of an older form is refused with
//! the command that makes PKCS12 of it.
//!
//! Source: [TLS configuration](https://docs.mulesoft.com/mule-runtime/latest/tls-configuration).

use std::collections::BTreeMap;

use fusebox_plan::dialect::{At, PemFile, Place, pair, quote, suggest};
use fusebox_plan::plan::{Authorities, ClientAuth, KeyPair, ListenerTls, PemSource};

use super::Lowering;
use super::names::name_of;
use super::open::Open;
use super::stores::{STORE_BYTES_MAX, Store, StoreFault};
use super::values::Written;
use crate::app::ClientTls;
use crate::properties::{Kind, Names};
use crate::xml::Element;

const CONTEXT: &str = "tls:context";
const KEY_STORE: &str = "tls:key-store";

/// The contexts that have been read, by position; `None`: a context with an error, which is reported.
pub(super) type Contexts = BTreeMap<Place, Option<Context>>;

/// The stores of a context.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// The authorities of the other side, in PEM.
    authorities: Option<Authorities>,
    /// True to accept any certificate of the other side.
    insecure: bool,
    /// Our own certificate and key.
    identity: Option<KeyPair>,
    /// True if it names a key store, which may be one that could not be read.
    has_store: bool,
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
            // A part of the key store is wrong, which has been reported.
            if context.has_store && self.notes.errors() > 0 {
                return None;
            }
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
            authorities: context.authorities,
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
            context.has_store = element.children.iter().any(|child| child.is(KEY_STORE));
            if let Some(store) = self.open_part(&open, KEY_STORE) {
                match store.has("path") {
                    true => context.identity = self.identity(&store),
                    false => {
                        let what = "this `tls:key-store` has no effect: it has no `path`";
                        self.warn(store.at(), what, "add `path=\"…\"`, or remove it");
                    }
                }
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
        let is_pem = self.is_pem(store)?;
        let (path, place, text) = match is_pem {
            true => self.pem(store)?,
            false => self.java(store, Store::authorities)?,
        };
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            let what = format!("expected a certificate in the file {}", quote(path.text));
            let mend = "name a file with `-----BEGIN CERTIFICATE-----`";
            self.wrong(path, what, mend);
            return None;
        }
        let file = source(place, is_pem);
        Some(Authorities { file, pem: text })
    }

    /// The certificate chain and the key of a key store.
    fn identity(&mut self, store: &Open<'a>) -> Option<KeyPair> {
        let is_pem = self.is_pem(store)?;
        let (path, place, text) = match is_pem {
            true => self.pem(store)?,
            false => {
                let alias = self.written(store, "alias").map(|alias| alias.text.trim());
                let alias = alias.filter(|alias| !alias.is_empty());
                self.java(store, |store| store.identity(alias))?
            }
        };
        let shown = quote(path.text);
        if !text.contains("-----BEGIN ") {
            let what = format!("the file {shown} is not PEM");
            let mend = "put the certificate chain and the private key into it, both as PEM";
            self.wrong(path, what, mend);
            return None;
        }
        let mut file = || {
            let (name, text) = (source(place.clone(), is_pem), Ok(text.clone()));
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

    /// True for a file that is PEM by its type or name.
    fn is_pem(&mut self, store: &Open<'a>) -> Option<bool> {
        let path = self.text(store, "path")?;
        let named = path.text.trim().to_ascii_lowercase();
        let ends = [".pem", ".crt", ".cer"];
        let kind = self.text(store, "type").map(|kind| kind.text.trim());
        Some(match kind {
            Some(kind) => kind.eq_ignore_ascii_case("pem"),
            None => ends.iter().any(|end| named.ends_with(end)),
        })
    }

    /// The path of a store's file as written and as found, and its text.
    fn pem(&mut self, store: &Open<'a>) -> Option<(Written<'a>, String, String)> {
        let (path, sought, mut all) = self.sought(store)?;
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

    /// The path of a store's file, without `classpath:`, and the names of the application's files.
    fn sought(&mut self, store: &Open<'a>) -> Option<(Written<'a>, At<String>, Vec<String>)> {
        let path = self.text(store, "path")?;
        // A placeholder without a value has been reported; what stands there is no path, and no password.
        let parts = ["path", "type", "alias", "password", "keyPassword"];
        let parts = parts
            .iter()
            .filter_map(|name| store.element.attribute(name));
        if parts
            .into_iter()
            .any(|part| self.states.is_broken(part.value.at))
        {
            return None;
        }
        let sought = path.text.trim();
        let sought = sought.strip_prefix("classpath:").unwrap_or(sought);
        let sought = At {
            at: path.at(),
            value: sought.to_owned(),
        };
        let all = self.names.iter().map(ToString::to_string).collect();
        Some((path, sought, all))
    }

    /// The path of a Java store as written and as found, and a part of its content in PEM.
    fn java(
        &mut self,
        store: &Open<'a>,
        part: impl FnOnce(&Store) -> Result<String, StoreFault>,
    ) -> Option<(Written<'a>, String, String)> {
        let (path, sought, mut all) = self.sought(store)?;
        let given = all.len();
        let names = Names {
            all: &mut all,
            given,
        };
        let file = path.at().file;
        let (found, bytes) = names.open_bytes(&sought, file, self.loader, self.notes)?;
        if bytes.len() > STORE_BYTES_MAX {
            let what = format!(
                "the store {} has {} bytes, above the limit of {STORE_BYTES_MAX}",
                quote(&sought.value),
                bytes.len()
            );
            self.wrong(path, what, "keep only the entries that are used in it");
            return None;
        }
        let password = self.written(store, "password");
        let secret = password.map_or("", |password| password.text);
        if store.shape.name == KEY_STORE
            && let Some(other) = store.attribute("keyPassword")
            && other.value.value != secret
            && !secret.is_empty()
        {
            let what = "`keyPassword` differs from `password`, but a PKCS12 store is read with one password for all its parts";
            let mend = "write the same, after `keytool -importkeystore` with `-deststorepass` if the store really has two";
            self.error(other.value.at, what, mend);
            return None;
        }
        match Store::open(&bytes, secret).and_then(|store| part(&store)) {
            Ok(pem) => Some((path, found, pem)),
            Err(fault) => {
                self.unfit(store, path, &sought.value, fault);
                None
            }
        }
    }

    /// Reports the fault of a Java store.
    fn unfit(&mut self, store: &Open<'a>, path: Written<'a>, file: &str, fault: StoreFault) {
        let shown = quote(file);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let is_key = store.shape.name == KEY_STORE;
        let (at, what, mend) = match fault {
            StoreFault::Jks => (
                path.at(),
                format!("{shown} is a store of the form JKS or JCEKS, which is not read"),
                format!(
                    "make PKCS12 of it, `keytool -importkeystore -srckeystore {file} -destkeystore {stem}.p12 -deststoretype PKCS12`, and write `type=\"pkcs12\" path=\"{stem}.p12\"`"
                ),
            ),
            StoreFault::Pem => (
                path.at(),
                format!("{shown} is PEM"),
                "write `type=\"pem\"`".to_owned(),
            ),
            StoreFault::Password => match self.written(store, "password") {
                Some(password) => (
                    password.at(),
                    format!("{shown} does not open with this password"),
                    "give the password of the store, as by a property and `--set`".to_owned(),
                ),
                None => (
                    store.at(),
                    format!("{shown} has a password, and `password` is missing"),
                    "add `password`, with a property for its value".to_owned(),
                ),
            },
            StoreFault::Unreadable(why) => (
                path.at(),
                format!("the store {shown} cannot be read: {why}"),
                match is_key {
                    true => "make PEM of it, the certificate chain and the key in one file, and write `type=\"pem\"`",
                    false => "make PEM of its certificates, and write `type=\"pem\"`",
                }
                .to_owned(),
            ),
            StoreFault::NoKey => (
                path.at(),
                format!("the store {shown} has no private key"),
                "name the store with the certificate and its key".to_owned(),
            ),
            StoreFault::NoAlias(names) => {
                let alias = self.written(store, "alias");
                let (at, text) = alias.map_or((path.at(), ""), |alias| (alias.at(), alias.text));
                let what = format!("the store {shown} has no key {}", quote(text.trim()));
                (at, what, suggest(text, names.iter().map(String::as_str)))
            }
            StoreFault::Bare => (
                path.at(),
                format!("the store {shown} has no certificate for its key"),
                "import the certificate under the alias of the key".to_owned(),
            ),
            StoreFault::NoAuthority => (
                path.at(),
                format!("the store {shown} has no certificate of an authority"),
                "import one: `keytool -importcert -alias ca -file ca.pem -keystore` with the store's name".to_owned(),
            ),
        };
        self.error(at, what, mend);
    }
}

/// A file by the path at which it was found, which is one from the working directory.
fn source(found: String, is_pem: bool) -> PemSource {
    match is_pem {
        true => PemSource {
            on_disk: found.clone().into(),
            named: found,
        },
        false => PemSource::of_store(found),
    }
}
