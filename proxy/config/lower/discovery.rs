//! `[pools.NAME.discovery]`.

use std::time::Duration;

use crate::config::model::Discovery;
use crate::config::raw::{Section, Value};

pub(super) fn read(section: &mut Section<'_>) -> Discovery {
    let resolve_grace = section.setting("resolve_grace", RESOLVE_GRACE, Value::duration_or_zero);
    Discovery { resolve_grace: resolve_grace.value }
}

/// A name server that was restarted answers again by then, and a record that was made with the edit is there.
const RESOLVE_GRACE: Duration = Duration::from_secs(30);
