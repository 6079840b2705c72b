//! `accept_proxy` of `[listeners.NAME]`.

use super::{Problem, networks};
use crate::config::model::AcceptProxy;
use crate::config::raw::{Section, Value};

pub(super) fn read(section: &mut Section<'_>) -> AcceptProxy {
    let from = networks::read(section, "from");
    let required = section.setting("required", true, Value::flag);
    if section.is_written() && from.value.is_empty() && !from.is_refused() {
        let message = "no balancer is named that may tell who its clients are";
        section.add(Problem::error(&from.place, message).hint(r#"for example from = ["10.0.0.0/8"]"#));
    }
    if from.value.iter().any(|network| network.prefix_len() == 0) {
        let message = "every client may say that it is another";
        section.add(Problem::warning(&from.place, message).hint("name the balancers' own networks"));
    }
    AcceptProxy { from: from.value, required: required.value }
}
