//! `[admin]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Problem;
use crate::config::model::AdminServer;
use crate::config::raw::{Section, Setting};
use crate::config::scalar::{self, Hosts};

/// The section, and where its address is written.
pub(super) struct Admin {
    pub(super) server: AdminServer,
    pub(super) bind: Option<Setting<SocketAddr>>,
}

pub(super) fn read(section: &mut Section<'_>) -> Admin {
    let bind = section.setting("bind", Some(BIND), |value| {
        if value.is_off() { Some(None) } else { value.parse(scalar::bind_address).map(Some) }
    });
    let token_file = section.setting("token_file", None, |value| value.file().map(Some)).value;
    let hosts = section.setting("hosts", Vec::new(), |value| {
        value.each(r#"["portti.example.com"]"#, |entry| entry.parse(str::parse::<Hosts>))
    });
    let is_public = |address: SocketAddr| !address.ip().is_loopback();
    if let Some(address) = bind.value.filter(|&address| token_file.is_none() && is_public(address)) {
        let message = "other machines can reach the admin address, and nobody there has to know a token";
        let hint = format!(
            "name a file with one: token_file = \"admin.token\" (openssl rand -hex 32 > admin.token); or stay on this machine: \
             bind = \"127.0.0.1:{}\"",
            address.port()
        );
        section.add(Problem::error(&bind.place, message).hint(hint));
    }
    let server = AdminServer { bind: bind.value, token_file, token: None, hosts: hosts.value };
    Admin { server, bind: bind.value.map(|address| bind.with(address)) }
}

/// This machine only, as long as nothing asks for a token.
const BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
