//! `[listeners.NAME.rollout]`.

use super::{Problem, networks};
use crate::config::model;
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::{Name, Share};

/// A rollout, and what must be checked against other sections.
#[derive(Debug)]
pub(super) struct Rollout {
    pub(super) pool: Setting<Name>,
    pub(super) model: model::Rollout,
}

/// `None` if it is not written, or lacks its pool.
pub(super) fn read(section: &mut Section<'_>) -> Option<Rollout> {
    let pool = super::listener::pool(section);
    let percent = section.setting("percent", Share::NONE, Value::percent);
    let clients = networks::read(section, "clients");
    let nobody = percent.value == Share::NONE && clients.value.is_empty();
    if section.is_written() && nobody && !(percent.is_refused() || clients.is_refused()) {
        let message = "the rollout takes no client";
        section.add(Problem::warning(&section.place, message).hint("for example percent = 10"));
    }
    let pool = pool?;
    let model = model::Rollout { pool: pool.value.clone(), share: percent.value, clients: clients.value };
    Some(Rollout { pool, model })
}
