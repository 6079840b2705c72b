//! `[pools.NAME.queue]`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::model::Queue;
use crate::config::raw::{Section, Value};

pub(super) fn read(section: &mut Section<'_>) -> Queue {
    let size = section.setting("size", SIZE, |value| value.whole(1..=SIZE_MAX).and_then(NonZeroU32::new));
    let timeout = section.setting("timeout", TIMEOUT, Value::duration);
    Queue { size: size.value, timeout: timeout.value }
}

/// More than that would not get in within any timeout.
const SIZE: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not 0");

/// Each who waits holds a connection: beyond what a machine has.
const SIZE_MAX: u32 = 1_000_000;

/// Longer, and most games give up by themselves.
const TIMEOUT: Duration = Duration::from_secs(5);
