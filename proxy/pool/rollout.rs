//! The part of a listener's clients that goes to another pool.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::Instant;

use super::Pool;
use crate::config::model;
use crate::config::scalar::{Name, Share};
use crate::net::client::ClientKey;

/// Which clients go to another pool, and to which. Always the same ones, for the same file: after a restart and on every
/// proxy; a larger share only adds clients.
#[derive(Debug)]
pub struct Rollout {
    /// Where they go.
    pub pool: Arc<Pool>,
    share: Share,
    clients: Vec<IpNet>,
    /// Makes rollouts choose clients independently of each other.
    name: String,
}

impl Rollout {
    /// What a listener's config says; its pool is one of these.
    pub fn new(config: &model::Rollout, listener: &Name, pools: &BTreeMap<Name, Arc<Pool>>) -> Self {
        Self {
            pool: Arc::clone(&pools[&config.pool]),
            share: config.share,
            clients: config.clients.clone(),
            name: format!("rollout {listener} {}", config.pool),
        }
    }

    /// Whether this client goes there now: it is one of them, and somebody is there.
    pub fn takes_now(&self, client: IpAddr, now: impl FnOnce() -> Instant) -> bool {
        self.takes(client) && self.pool.has_eligible(now())
    }

    /// Whether this client is one of them.
    pub fn takes(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        is_among(client, self.share, &self.name) || self.clients.iter().any(|network| network.contains(&client))
    }
}

fn is_among(client: IpAddr, share: Share, rollout: &str) -> bool {
    // The remainder is as even as the hash: a million parts of 2^64.
    ClientKey::of(client).hash(rollout) % u64::from(Share::WHOLE) < u64::from(share.parts())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn share(percent: f64) -> Share {
        Share::from_percent(percent).unwrap()
    }

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..100_000_u32).map(|number| Ipv4Addr::from(0x0a00_0000 + number * 7).into())
    }

    #[test]
    fn as_many_go_as_it_says() {
        for percent in [0.0, 1.0, 10.0, 50.0, 99.5, 100.0] {
            let taken = clients().filter(|&client| is_among(client, share(percent), "green")).count();
            assert!((taken as f64 / 1000.0 - percent).abs() < 0.5, "{percent} %: {taken}");
        }
    }

    #[test]
    fn a_client_stays_in_when_the_share_grows() {
        for client in clients().take(10_000) {
            let in_at = |percent| is_among(client, share(percent), "green");
            assert!(!in_at(10.0) || in_at(10.1), "{client}");
            assert!(!in_at(0.0) && in_at(100.0), "{client}");
        }
    }

    #[test]
    fn the_choice_is_the_same_on_every_machine_and_differs_between_rollouts() {
        let among = |rollout: &str| {
            (0..16_u8).map(|last| is_among([192, 0, 2, last].into(), share(50.0), rollout)).collect::<Vec<_>>()
        };
        assert_eq!(among("green"), among("green"));
        assert_ne!(among("green"), among("blue"));
        let chosen: String = among("green").into_iter().map(|chosen| if chosen { '1' } else { '0' }).collect();
        assert_eq!(chosen, "1011010101111110", "these clients would move with the next version");
    }
}
