//! Reads the gateway's own sections: listeners, the admin API, the limits.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::draft::{DraftAdmin, DraftListener, Reader};
use crate::diagnostic::At;
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::{Http2, Limits, Secret};
use crate::tree::{Kind, Node};

impl Reader<'_> {
    pub(super) fn listen(&mut self, file: &Fields<'_>) -> Option<At<Vec<At<SocketAddr>>>> {
        let (_, node) = file.get("listen")?;
        let addresses = match &node.kind {
            Kind::List(items) => items
                .iter()
                .filter_map(|item| fields::address(item, "listen", self.notes))
                .collect(),
            _ => fields::address(node, "listen", self.notes)
                .into_iter()
                .collect(),
        };
        Some(At::new(addresses, node.at))
    }

    pub(super) fn listeners(&mut self, file: &Fields<'_>) -> Option<At<Vec<DraftListener>>> {
        let (_, node) = file.get("listeners")?;
        let items = fields::items(node, "listeners", self.notes)?;
        let listeners = items
            .iter()
            .filter_map(|item| self.listener(item))
            .collect();
        Some(At::new(listeners, node.at))
    }

    fn listener(&mut self, node: &Node) -> Option<DraftListener> {
        let listener = Fields::open(node, &keys::LISTENER, self.notes)?;
        let name = self.name(&listener, "name");
        let addr = listener.address("addr", self.notes);
        let mut trusted_proxies = Vec::new();
        if let Some((_, node)) = listener.get("trusted_proxies") {
            for item in fields::items(node, "trusted_proxies", self.notes).unwrap_or_default() {
                trusted_proxies.extend(self.network(item));
            }
        }
        let paths = listener.section("paths", self.notes);
        let mut allowed = |name| {
            let word = paths.as_ref()?.word(name, self.notes)?;
            Some(word.value == 1)
        };
        let encoded_slash_allowed = allowed("encoded_slash").unwrap_or(false);
        let double_slash_allowed = allowed("double_slash").unwrap_or(false);
        let has_tls = listener.named("tls").is_some();
        let tls = self.listener_tls(&listener);
        let http2 = self.http2(&listener, has_tls);
        Some(DraftListener {
            at: node.at,
            name,
            addr,
            trusted_proxies,
            encoded_slash_allowed,
            double_slash_allowed,
            tls,
            http2,
        })
    }

    fn http2(&mut self, listener: &Fields<'_>, has_tls: bool) -> Option<Http2> {
        let word = listener.word("http2", self.notes)?;
        let chosen = Http2::ALL[word.value];
        match (chosen, has_tls) {
            (Http2::Auto, false) => self.notes.warn(
                word.at,
                "`http2: auto` has no effect: clients choose HTTP/2 in the TLS handshake, and this listener has no `tls`",
                "write `cleartext` to take HTTP/2 without TLS, or remove the key",
            ),
            (Http2::Cleartext, true) => self.notes.error(
                word.at,
                "`http2: cleartext` is for listeners without `tls`",
                "write `auto`: clients choose HTTP/2 in the TLS handshake",
            ),
            _ => {}
        }
        Some(chosen)
    }

    fn network(&mut self, node: &Node) -> Option<IpNet> {
        let expected = "a network or an address";
        let scalar = fields::scalar(node, "trusted_proxies", expected, self.notes)?;
        let text = scalar.text.trim();
        let network = match text.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => match text.parse::<std::net::IpAddr>() {
                Ok(address) => return Some(IpNet::from(address)),
                Err(_) => {
                    let mend = "write one such as `10.0.0.0/8` or `10.0.0.1`".to_owned();
                    return fields::wrong(node, "trusted_proxies", expected, mend, self.notes);
                }
            },
        };
        if network != network.trunc() {
            let what = format!("{} has bits set beyond its prefix", scalar.shown());
            let mend = format!(
                "write `{}`, or `{}` for the one address",
                network.trunc(),
                network.addr()
            );
            return fields::refuse(node.at, scalar, what, mend, self.notes);
        }
        if network.prefix_len() == 0 {
            self.notes.warn(
                node.at,
                "every peer is trusted, so every client can forge its address",
                "name the networks of your own proxies",
            );
        }
        Some(network)
    }

    pub(super) fn admin(&mut self, file: &Fields<'_>) -> Option<DraftAdmin> {
        let admin = file.section("admin", self.notes)?;
        let addr = admin.address("addr", self.notes);
        let token = self.admin_token(&admin, "token", "the admin token");
        let service_token = self.admin_token(&admin, "service_token", "the service token");
        let read_token = self.admin_token(&admin, "read_token", "the read token");
        Some(DraftAdmin {
            at: admin.at,
            addr,
            token,
            service_token,
            read_token,
            has_token: admin.named("token").is_some(),
        })
    }

    fn admin_token(
        &mut self,
        admin: &Fields<'_>,
        key: &'static str,
        what: &str,
    ) -> Option<At<Secret>> {
        let token = admin.text(key, self.notes)?;
        let sendable = token.value.bytes().all(|byte| byte.is_ascii_graphic());
        if token.value.is_empty() || !sendable {
            self.notes.error(
                token.at,
                format!("{what} is empty or has characters that a bearer token cannot have"),
                "use visible ASCII characters, such as the output of `openssl rand -hex 32`",
            );
        }
        Some(token.map(Secret::new))
    }

    pub(super) fn limits(&mut self, file: &Fields<'_>) -> Option<At<Limits>> {
        let (_, node) = file.get("limits")?;
        let limits = Fields::open(node, &keys::LIMITS, self.notes)?;
        let mut read = Limits::default();
        let notes = &mut *self.notes;
        let whole = |number: Option<At<u64>>, slot: &mut usize| {
            if let Some(number) = number {
                *slot = usize::try_from(number.value).unwrap_or(usize::MAX);
            }
        };
        whole(
            limits.whole("connections", notes),
            &mut read.connections_max,
        );
        whole(limits.whole("fields", notes), &mut read.head_fields_max);
        whole(
            limits.whole("stream_resets", notes),
            &mut read.stream_resets_max,
        );
        whole(
            limits.whole("stream_errors", notes),
            &mut read.stream_errors_max,
        );
        for (name, slot) in [
            ("streams", &mut read.streams_max),
            ("control_frames", &mut read.control_frames_rate),
        ] {
            if let Some(number) = limits.whole(name, notes) {
                *slot = u32::try_from(number.value).unwrap_or(u32::MAX);
            }
        }
        if let Some(head) = limits.size("head", notes) {
            if !(256..=16 << 20).contains(&head.value) {
                notes.error(
                    head.at,
                    "`head` must be from 256B to 16MiB",
                    "write `64KiB`",
                );
            }
            read.head_bytes_max = usize::try_from(head.value).unwrap_or(usize::MAX);
        }
        for (name, slot) in [
            ("first_byte", &mut read.first_byte_timeout),
            ("head_timeout", &mut read.head_timeout),
            ("keep_alive", &mut read.keep_alive_timeout),
            ("stream_stall", &mut read.stream_stall_timeout),
            ("upgrade_idle", &mut read.upgrade_idle_timeout),
            ("drain", &mut read.drain_timeout),
        ] {
            if let Some(duration) = limits.duration(name, notes) {
                *slot = duration.value;
            }
        }
        if let Some(delay) = limits.delay("drain_delay", notes) {
            read.drain_delay = delay.value;
        }
        if let Some(rate) = limits.rate("body_rate", notes) {
            read.body_rate_min = rate.value;
        }
        read.request_body_max = limits.size("request_body", notes).map(|size| size.value);
        Some(At::new(read, node.at))
    }
}
