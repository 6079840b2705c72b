//! Whom one listener lets in.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::Instant;

use super::acl::Networks;
use super::addresses::{PerAddress, Seat};
use super::level::Level;
use super::{Memory, Refusal, Turn, ban, pace};
use crate::config::model::{self, SlotLimits};
use crate::config::scalar::Name;
use crate::net::client::ClientKey;
use crate::queue::{Class, Full};
use crate::telemetry;

/// What one listener lets in, in one version of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whose it is.
    pub listener: Name,
    /// From this level on, newcomers are shed.
    pub shed_at: Level,
    /// Only `staff` may come in.
    pub maintenance: bool,
    /// Who may come in during maintenance.
    pub staff: Networks,
    /// Whom limits by address do not concern.
    pub trusted: Networks,
    /// Who may not come in at all.
    pub deny: Networks,
    /// Nor these, from a file.
    pub deny_list: Arc<Networks>,
    /// Who may, if it is not empty.
    pub allow: Networks,
    /// What one address may have.
    pub per_address: PerAddress,
    /// How fast clients are let in; `None` is as they come.
    pub arrivals: Option<pace::Rule>,
    /// How fast TLS handshakes are begun; `None` is as clients come.
    pub handshakes: Option<pace::Rule>,
    /// How many live sessions there may be.
    pub slots: SlotLimits,
    /// What lists, maintenance and limits by address would refuse is counted, and let in.
    pub dry_run: bool,
    /// When they ban an address.
    pub ban: Option<ban::Rule>,
}

impl Policy {
    /// What this listener's config says.
    pub fn new(listener: &Name, config: &model::Admission) -> Self {
        let model::Admission {
            shed_at,
            maintenance,
            staff,
            trusted,
            deny,
            deny_list,
            allow,
            per_address,
            arrivals,
            handshakes,
            slots,
            dry_run,
            ban,
            deny_file: _,
            deny_wide_networks: _,
        } = config;
        Self {
            listener: listener.clone(),
            shed_at: *shed_at,
            maintenance: *maintenance,
            staff: Networks::new(staff),
            trusted: Networks::new(trusted),
            deny: Networks::new(deny),
            deny_list: Arc::clone(deny_list),
            allow: Networks::new(allow),
            per_address: *per_address,
            arrivals: *arrivals,
            handshakes: *handshakes,
            slots: *slots,
            dry_run: *dry_run,
            ban: *ban,
        }
    }

    /// By a list. Deny wins; a list of the allowed denies the rest.
    pub(super) fn denies(&self, client: IpAddr) -> bool {
        self.deny.contain(client)
            || self.deny_list.contain(client)
            || !(self.allow.is_empty() || self.allow.contain(client))
    }

    /// A network of the deny lists that shares addresses with this one, if any does and is refused for it.
    pub fn denied_of(&self, network: &IpNet) -> Option<IpNet> {
        let listed = self.deny.overlapping(network).or_else(|| self.deny_list.overlapping(network));
        listed.filter(|_| !self.dry_run)
    }

    /// Whether the client was refused too often before.
    pub(super) fn has_banned(&self, memory: &Memory, client: IpAddr, now: impl Fn() -> Instant) -> bool {
        self.ban.is_some() && memory.bans().has(self.per_address.network(client), now())
    }

    /// Counts a refusal that is the address's own fault.
    pub(super) fn note_refusal(&self, memory: &Memory, client: IpAddr, now: impl Fn() -> Instant) {
        memory.refused.note(ClientKey::of(client), now());
        let Some(rule) = self.ban.filter(|_| !self.trusted.contain(client)) else { return };
        let network = self.per_address.network(client);
        if memory.bans().refused(network, rule, now()) {
            let (listener, lasts) = (&self.listener, telemetry::shown(rule.lasts));
            tracing::info!(%listener, client = %network, refusals = rule.after, %lasts, "banned for a while");
        }
    }

    /// Whether the client may take a slot that the listener reserves.
    pub(super) fn may_use_reserved(&self, client: IpAddr) -> bool {
        self.slots.reserved > 0 && (self.staff.contain(client) || self.trusted.contain(client))
    }

    pub(super) fn lets_come(&self, memory: &Memory, client: IpAddr, now: impl Fn() -> Instant) -> bool {
        let Some(limit) = &self.per_address.rate else { return true };
        memory.addresses.take(self.per_address.network(client), limit, now())
    }

    pub(super) fn seat(&self, memory: &Memory, client: IpAddr) -> Result<Option<Seat>, Refusal> {
        let Some(most) = self.per_address.max_connections else { return Ok(None) };
        let seat = memory.addresses.seat(self.per_address.network(client), most);
        seat.map(Some).ok_or(Refusal::PerIpLimit)
    }

    pub(super) fn turn(
        &self,
        memory: &Memory,
        class: impl FnOnce() -> Class,
        now: impl Fn() -> Instant,
    ) -> Result<Option<Turn>, Refusal> {
        let Some(rule) = &self.arrivals else { return Ok(None) };
        memory.arrivals.come(rule, class, now()).map_err(|Full| Refusal::QueueFull)
    }
}
