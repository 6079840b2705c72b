//! `[listeners.NAME]`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::slots::Slots;
use super::{Problem, accept_proxy, admission, http, messages, rollout, sni, tls};
use crate::config::model::{self, Messages, Mode, Termination};
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::{self, Name};

/// A listener, and what must be checked against other sections.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) bind: Vec<Setting<SocketAddr>>,
    pub(super) pool: Option<Setting<Name>>,
    /// What it names beside that: of its rollout, and of its routes.
    pub(super) other_pools: Vec<Setting<Name>>,
    pub(super) slots: Slots,
    /// Whether it says what one client address may have, or who alone may come in.
    pub(super) is_limited_per_address: bool,
    /// `None` if it lacks something.
    pub(super) model: Option<model::Listener>,
}

pub(super) fn read(section: &mut Section<'_>, name: &str) -> Listener {
    let name = super::name(section, name);
    let bind = bind(section);
    let mode = section.setting("mode", Mode::Tcp, |value| value.word(&MODES, &LATER_MODES));
    let routes = sni::read(section);
    let http = http::read(section);
    let pool = if routes.are_written || http.routes_are_written { optional_pool(section) } else { pool(section) };
    let mut tls = section.optional("tls", tls::of_listener).flatten();
    let is_http = mode.value == Mode::Http;
    if !is_http {
        http.refuse_in_other_modes(section);
    } else if let Some(tls) = tls.as_mut().filter(|tls| tls.protocols.is_empty()) {
        tls.protocols = HTTP_PROTOCOLS.map(str::to_owned).to_vec();
    }
    if is_http && routes.are_written && tls.is_none() {
        let message = "requests can be read only where TLS ends here";
        section.add(Problem::error(&mode.place, message).hint("add a tls section, or leave out sni"));
    }
    let reuse_port = section.setting("reuse_port", false, Value::flag);
    let accept_proxy = section.optional("accept_proxy", accept_proxy::read);
    let preread_timeout = section.setting("preread_timeout", PREREAD_TIMEOUT, Value::duration);
    let (admission, slots, is_limited_per_address) = admission::of_listener(section);
    let messages = section.optional("messages", messages::read).flatten();
    let rollout = section.optional("rollout", rollout::read).flatten();
    if admission.handshakes.is_some() && tls.is_none() {
        let message = "handshake_rate is without effect where clients' TLS does not end";
        section.add(Problem::warning(&section.place, message).hint("leave it out, or add a tls section"));
    }
    if are_for_nobody(messages.as_ref(), &routes, tls.as_ref()) {
        let message = "these clients speak TLS with the servers behind, and so can be told nothing here";
        section.add(Problem::warning(&section.place, message).hint("leave out messages, or sni"));
    }
    if let Some(tls) = &tls
        && let Some(protocol) =
            routes.model.iter().flat_map(|route| &route.protocols).find(|one| !tls.protocols.contains(one))
    {
        let message = format!(
            "an entry of sni is for the protocol {protocol:?}, which alpn of tls does not have: it is never agreed on"
        );
        section.add(Problem::warning(&section.place, message));
    }
    if let (Some(main), Some(other)) = (&pool, &rollout)
        && main.value == other.pool.value
    {
        let message = "the rollout leads to the pool that its clients would go to anyway";
        section.add(Problem::warning(&other.pool.place, message));
    }

    let addresses = bind.iter().map(|setting| setting.value).collect();
    let leads_somewhere = pool.is_some() || !routes.model.is_empty() || (is_http && !http.model.routes.is_empty());
    let model = name.filter(|_| leads_somewhere).map(|name| model::Listener {
        name,
        bind: addresses,
        mode: mode.value,
        http: is_http.then_some(http.model),
        pool: pool.as_ref().map(|pool| pool.value.clone()),
        routes: routes.model,
        tls,
        reuse_port: reuse_port.value,
        accept_proxy: accept_proxy.clone(),
        preread_timeout: preread_timeout.value,
        admission,
        messages: messages.map(Arc::new),
        rollout: rollout.as_ref().map(|rollout| rollout.model.clone()),
    });
    let other_pools = routes.pools.into_iter().chain(http.pools).chain(rollout.map(|rollout| rollout.pool)).collect();
    Listener { bind, pool, other_pools, slots, is_limited_per_address, model }
}

/// Whether nobody could read the words, because they are not encrypted.
fn are_for_nobody(messages: Option<&Messages>, routes: &sni::Routes, tls: Option<&Termination>) -> bool {
    messages.is_some() && routes.are_written && tls.is_none()
}

/// One address or a list of them.
fn bind(section: &mut Section<'_>) -> Vec<Setting<SocketAddr>> {
    let Some(value) = section.required("bind", r#""0.0.0.0:25565""#) else {
        return Vec::new();
    };
    let written = if value.is_text() { Some(vec![value]) } else { several(section, &value) };
    let mut seen = BTreeSet::new();
    let mut bind = Vec::new();
    for value in written.into_iter().flatten() {
        let Some(address) = value.parse(scalar::bind_address) else {
            continue;
        };
        if address.port() == 0 {
            let message = "on port 0 the system chooses a port that no client knows";
            section.add(Problem::warning(&value.place, message));
        } else if !seen.insert(address) {
            section.add(Problem::error(&value.place, format!("the address {address} is in the list twice")));
        }
        bind.push(Setting::written(address, value.place));
    }
    bind
}

fn several<'a>(section: &Section<'_>, value: &Value<'a>) -> Option<Vec<Value<'a>>> {
    let list = value.list(r#"["0.0.0.0:25565", "[::]:25565"]"#)?;
    if list.is_empty() {
        section.add(Problem::error(&value.place, "the list of addresses is empty"));
    }
    Some(list)
}

/// The name of a pool.
pub(super) fn pool(section: &mut Section<'_>) -> Option<Setting<Name>> {
    let value = section.required("pool", r#""game""#)?;
    let name = value.parse(str::parse::<Name>)?;
    Some(Setting::written(name, value.place))
}

/// The same where it may be absent.
fn optional_pool(section: &mut Section<'_>) -> Option<Setting<Name>> {
    let name = section.setting("pool", None, |value| value.parse(str::parse::<Name>).map(Some));
    name.value.clone().map(|found| name.with(found))
}

/// Two lost packets are made up for, and a slow client has time.
const PREREAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What clients and this proxy agree on where the file says nothing.
const HTTP_PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

const MODES: [(&str, Mode); 2] = [("tcp", Mode::Tcp), ("http", Mode::Http)];

const LATER_MODES: [&str; 1] = ["udp"];
