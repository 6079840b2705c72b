//! Who may come in: today, as many as `max_connections` says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub mod level;

use self::level::Level;

/// The door of the whole process. Outlives reloads.
#[derive(Debug)]
pub struct Admission {
    capacity: AtomicUsize,
    active: AtomicUsize,
}

/// Leave for one session to exist; counts while it is held.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

/// As many sessions live as may.
#[derive(Debug, PartialEq, Eq)]
pub struct AtCapacity;

impl Admission {
    /// A door for so many live sessions.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: AtomicUsize::new(capacity), active: AtomicUsize::new(0) }
    }

    /// Changes how many may be in. Those who are in stay.
    pub fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Relaxed);
    }

    /// How many may be in.
    pub fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    /// How many are in.
    pub fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    /// How full it is.
    pub fn level(&self) -> Level {
        Level::of(self.active(), self.capacity())
    }

    /// Lets one in.
    ///
    /// # Errors
    /// It is full.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, AtCapacity> {
        let capacity = self.capacity();
        self.active
            .fetch_update(Relaxed, Relaxed, |active| (active < capacity).then(|| active + 1))
            .map(|_| Permit(Arc::clone(self)))
            .map_err(|_full| AtCapacity)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_permit_goes() {
        let door = Arc::new(Admission::new(2));
        let first = door.admit().unwrap();
        let _second = door.admit().unwrap();
        assert_eq!(door.admit().unwrap_err(), AtCapacity);
        drop(first);
        assert_eq!(door.active(), 1);
        assert!(door.admit().is_ok());
    }

    #[test]
    fn a_smaller_house_lets_nobody_in_until_enough_have_left() {
        let door = Arc::new(Admission::new(3));
        let mut inside: Vec<_> = (0..3).map(|_| door.admit().unwrap()).collect();
        door.set_capacity(1);
        assert_eq!(door.active(), 3);
        inside.truncate(1);
        assert!(door.admit().is_err());
        inside.clear();
        assert!(door.admit().is_ok());
    }

    #[test]
    fn threads_never_get_in_over_the_capacity() {
        let door = Arc::new(Admission::new(10));
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1000).filter_map(|_| door.admit().ok()).collect::<Vec<_>>()))
                .collect();
            let held: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            held.iter().map(Vec::len).sum()
        });
        assert_eq!(admitted, 10);
        assert_eq!(door.active(), 0);
    }
}
