//! Who was just playing: clients whose session ended a moment ago. Pure, and bounded.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

mod regulars;

pub use self::regulars::Regulars;
use crate::net::client::ClientKey;

/// Who counts as reconnecting (`[server.reconnect]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Sessions that were shorter were no play.
    pub min_session: Duration,
    /// How long after its session's end a client counts.
    pub window: Duration,
}

/// Clients remembered; the oldest go first. Ten times the usual `max_connections`, in about 8 MB.
const CLIENTS: usize = 100_000;

/// Clients that are passed over as they have come again, before the one at hand goes: a bound on the work for one.
const SECOND_CHANCES: usize = 8;

/// Clients whose session has ended lately, each once, however often it comes.
#[derive(Debug, Default)]
pub struct Recent {
    ended: HashMap<ClientKey, Instant>,
    /// One entry for each, by when it was last looked at here.
    order: VecDeque<(Instant, ClientKey)>,
}

impl Recent {
    /// Notes the end of a session that lasted long enough.
    pub fn note(&mut self, client: ClientKey, now: Instant, rule: Rule) {
        if let Some(ended) = self.ended.get_mut(&client) {
            *ended = now;
            return;
        }
        self.make_room(now, rule);
        self.ended.insert(client, now);
        self.order.push_back((now, client));
    }

    /// All clients, and when they left.
    pub fn all(&self) -> Vec<(ClientKey, Instant)> {
        self.ended.iter().map(|(&client, &at)| (client, at)).collect()
    }

    /// Whether the client was playing a moment ago.
    pub fn has(&self, client: ClientKey, now: Instant, rule: Rule) -> bool {
        self.ended.get(&client).is_some_and(|&ended| !is_over(ended, now, rule))
    }

    /// Forgets those who left too long ago, and, where there is no room left, whoever left first, as far as a few looks can tell.
    fn make_room(&mut self, now: Instant, rule: Rule) {
        let mut chances = 0;
        while let Some(&(at, oldest)) = self.order.front() {
            let is_due = is_over(at, now, rule);
            if !is_due && self.order.len() < CLIENTS {
                break;
            }
            self.order.pop_front();
            match self.ended.get(&oldest) {
                Some(&ended) if ended > at && !is_over(ended, now, rule) && (is_due || chances < SECOND_CHANCES) => {
                    chances += usize::from(!is_due);
                    self.order.push_back((ended, oldest));
                }
                _ => drop(self.ended.remove(&oldest)),
            }
        }
    }
}

/// Whether a client that was last there at this moment counts no more.
fn is_over(at: Instant, now: Instant, rule: Rule) -> bool {
    now.saturating_duration_since(at) >= rule.window
}

impl Default for Rule {
    fn default() -> Self {
        Self { min_session: Duration::from_secs(10), window: Duration::from_secs(120) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RULE: Rule = Rule { min_session: Duration::from_secs(10), window: Duration::from_secs(120) };

    fn client(number: u32) -> ClientKey {
        ClientKey::of(Ipv4Addr::from(number).into())
    }

    #[test]
    fn a_client_counts_for_the_window_and_from_its_last_session() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        recent.note(client(1), now, RULE);
        assert!(recent.has(client(1), at(119), RULE) && !recent.has(client(1), at(120), RULE));
        assert!(!recent.has(client(2), now, RULE));
        recent.note(client(1), at(100), RULE);
        recent.note(client(3), at(150), RULE);
        assert!(recent.has(client(1), at(219), RULE), "it was looked at, and stays for its last session");
        recent.note(client(4), at(400), RULE);
        assert_eq!((recent.ended.len(), recent.order.len()), (1, 1), "the others are forgotten");
    }

    #[test]
    fn one_client_pushes_out_nobody_however_often_it_comes() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        for number in 0..1000 {
            recent.note(client(number), now, RULE);
        }
        for _ in 0..3 * CLIENTS {
            recent.note(client(1_000_000), now, RULE);
        }
        assert!((0..1000).all(|number| recent.has(client(number), now, RULE)));
        assert_eq!((recent.ended.len(), recent.order.len()), (1001, 1001));
    }

    #[test]
    fn memory_is_bounded_and_those_who_left_first_go() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let many = u32::try_from(CLIENTS).unwrap() * 3;
        for number in 0..many {
            recent.note(client(number), now, RULE);
        }
        assert_eq!((recent.ended.len(), recent.order.len()), (CLIENTS, CLIENTS));
        assert!(recent.has(client(many - 1), now, RULE) && !recent.has(client(0), now, RULE));
        // All come again, and still there is room for one more with bounded work.
        let later = now + Duration::from_secs(1);
        for number in many - u32::try_from(CLIENTS).unwrap()..many {
            recent.note(client(number), later, RULE);
        }
        recent.note(client(many), later, RULE);
        assert_eq!((recent.ended.len(), recent.order.len()), (CLIENTS, CLIENTS));
        assert!(recent.has(client(many), later, RULE));
        recent.note(client(8), later + RULE.window, RULE);
        assert_eq!(recent.order.len(), 1);
    }

    #[test]
    fn what_was_known_goes_on() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut recent = Recent::default();
        for (number, second) in [(1, 0), (2, 10), (1, 20)] {
            recent.note(client(number), at(second), RULE);
        }
        let mut all = recent.all();
        all.sort_unstable_by_key(|&(_, ended)| ended);
        assert_eq!(all, [(client(2), at(10)), (client(1), at(20))]);
    }
}
