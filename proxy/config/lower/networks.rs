//! Lists of networks.

use ipnet::IpNet;

use crate::admission::acl;
use crate::config::raw::{Section, Setting};

/// The list below `key`; empty where it is absent.
pub(super) fn read(section: &mut Section<'_>, key: &'static str) -> Setting<Vec<IpNet>> {
    section.setting(key, Vec::new(), |value| {
        value.each(r#"["203.0.113.0/24", "192.0.2.7"]"#, |entry| entry.parse(acl::network))
    })
}

/// The same, without networks that deny so many addresses that it is rather a slip; unless they are `allowed`.
pub(super) fn read_narrow(section: &mut Section<'_>, key: &'static str, allowed: bool) -> Setting<Vec<IpNet>> {
    section.setting(key, Vec::new(), |value| {
        value.each(r#"["203.0.113.0/24", "192.0.2.7"]"#, |entry| {
            let network = entry.parse(acl::network)?;
            if acl::is_wide(&network) && !allowed {
                let message =
                    format!("{network} is wider than /8 (IPv6: /16), and denies a great part of all addresses");
                entry.refuse(message, "if that is meant: deny_wide_networks = true".to_owned());
                return None;
            }
            Some(network)
        })
    })
}
