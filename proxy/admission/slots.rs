//! Connection slots: how many sessions live, over all listeners and on each, and how many may.
//!
//! A listener may reserve slots for its staff and trusted clients. They are set apart from the slots of the whole proxy, so that no
//! number of other clients, on whichever listener, can take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Admission, Refusal};
use crate::config::model::SlotLimits;

/// The live sessions of one listener. Outlives reloads, and the listener itself while any of its sessions lives.
#[derive(Debug)]
pub struct ListenerSlots {
    admission: Arc<Admission>,
    open: SlotCount,
    reserved: SlotCount,
}

/// Live sessions that hold a slot of one kind, and how many may.
#[derive(Debug)]
pub(super) struct SlotCount {
    taken: AtomicUsize,
    most: AtomicUsize,
}

/// The slot of one session, until it is dropped.
#[derive(Debug)]
pub(super) enum Slot {
    /// One that any client may take.
    Open,
    /// One that is kept for staff and trusted clients.
    Reserved,
}

impl ListenerSlots {
    /// Those of a listener without limits of its own.
    pub(super) fn new(admission: &Arc<Admission>) -> Self {
        let (open, reserved) = (SlotCount::new(usize::MAX), SlotCount::new(0));
        Self { admission: Arc::clone(admission), open, reserved }
    }

    /// Changes how many there may be. Sessions that live go on.
    pub fn set_limits(&self, limits: SlotLimits) {
        let open = limits.max_connections.map_or(usize::MAX, |most| most.saturating_sub(limits.reserved));
        self.open.set_most(open);
        self.reserved.set_most(limits.reserved);
    }

    /// Live sessions, those in reserved slots included.
    pub fn taken(&self) -> usize {
        self.open.taken() + self.reserved.taken()
    }

    /// Live sessions in reserved slots.
    pub fn reserved_taken(&self) -> usize {
        self.reserved.taken()
    }

    /// The proxy whose slots they are.
    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Takes a slot that any client may take: one of the listener's, and one of the proxy's.
    pub(super) fn take_open(&self) -> Result<Slot, Refusal> {
        // The listener's first: when it is full, the count that all threads share is left alone.
        if !self.open.take() {
            return Err(Refusal::AtCapacity);
        }
        if !self.admission.open.take() {
            self.open.give_back();
            return Err(Refusal::AtCapacity);
        }
        self.admission.follow_level();
        Ok(Slot::Open)
    }

    /// Takes a reserved slot, if one is free. The proxy keeps it free, so there is no need to ask there.
    pub(super) fn take_reserved(&self) -> Option<Slot> {
        self.reserved.take().then(|| {
            self.admission.reserved.add();
            Slot::Reserved
        })
    }

    /// Gives a slot back.
    pub(super) fn give_back(&self, slot: &Slot) {
        match slot {
            Slot::Open => {
                self.open.give_back();
                self.admission.open.give_back();
                self.admission.follow_level();
            }
            Slot::Reserved => {
                self.reserved.give_back();
                self.admission.reserved.give_back();
            }
        }
    }
}

impl SlotCount {
    /// None taken, of so many.
    pub(super) fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most: AtomicUsize::new(most) }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken() >= self.most()
    }

    /// Counts one more, if that is not too many.
    pub(super) fn take(&self) -> bool {
        let most = self.most();
        self.taken.fetch_update(Relaxed, Relaxed, |taken| (taken < most).then(|| taken + 1)).is_ok()
    }

    /// Counts one more, whose limit is kept elsewhere.
    fn add(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}
