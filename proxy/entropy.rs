//! Randomness of the operating system, for what must differ between processes and machines.

use ring::rand::{SecureRandom as _, SystemRandom};

/// A random number that no other process is likely to have.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // A sandbox without getrandom(2) and /dev/urandom: the clock and the thread are what is left.
        Err(_unavailable) => fastrand::u64(..),
    }
}

/// Seeds the quick generator of this thread, of which ids of requests and traces are made. Without it, the clock since the boot of
/// the machine is its seed, which machines that were started together may share.
pub fn seed_thread() {
    fastrand::seed(number());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_so_do_threads() {
        assert_ne!(number(), number());
        let first = || {
            seed_thread();
            fastrand::u64(..)
        };
        assert_ne!(first(), std::thread::spawn(first).join().unwrap());
    }
}
