//! `max_connections` and `reserved` of listeners.

use super::listener::Listener;
use super::{CONNECTIONS_MAX, Problem};
use crate::config::model::SlotLimits;
use crate::config::raw::{Report, Section, Setting};

/// What a listener's section says of them.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) max_connections: Setting<Option<usize>>,
    pub(super) reserved: Setting<usize>,
}

/// The keys of a listener. `has_privileged`: whether it has staff or trusted clients, who alone may use what is reserved.
pub(super) fn read(section: &mut Section<'_>, has_privileged: bool) -> Slots {
    let max_connections = section.setting("max_connections", None, |value| {
        if value.is_off() { Some(None) } else { value.whole(1..=CONNECTIONS_MAX).map(|most| Some(most as usize)) }
    });
    let reserved = section.setting("reserved", 0, |value| value.whole(0..=CONNECTIONS_MAX).map(|kept| kept as usize));
    if let Some(most) = max_connections.value.filter(|&most| reserved.value >= most) {
        let message = format!("reserved ({}) leaves none of max_connections ({most}) to others", reserved.value);
        section.add(Problem::error(reserved.blamed(&max_connections), message).hint("reserve fewer"));
    }
    if reserved.value > 0 && !has_privileged {
        let message =
            "reserved slots are for clients in staff or trusted, and both lists are empty: nobody can use them";
        section.add(Problem::warning(&reserved.place, message));
    }
    Slots { max_connections, reserved }
}

impl Slots {
    pub(super) fn model(&self) -> SlotLimits {
        SlotLimits { max_connections: self.max_connections.value, reserved: self.reserved.value }
    }
}

/// Checks them against `max_connections` of the whole proxy.
pub(super) fn check(report: &Report, capacity: usize, listeners: &[Listener]) {
    let mut reserved = 0_usize;
    for slots in listeners.iter().map(|listener| &listener.slots) {
        let before = reserved;
        reserved = reserved.saturating_add(slots.reserved.value);
        if before < capacity && reserved >= capacity {
            let message = format!(
                "the listeners reserve {reserved} slots, which leaves none of server.max_connections ({capacity}) to others"
            );
            report.add(
                Problem::error(&slots.reserved.place, message).hint("reserve fewer, or raise server.max_connections"),
            );
        }
        if let Some(most) = slots.max_connections.value.filter(|&most| most > capacity) {
            let message = format!("{most} is more than server.max_connections ({capacity}), which holds first");
            report.add(Problem::warning(&slots.max_connections.place, message));
        }
    }
}
