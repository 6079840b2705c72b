//! Who was just playing: clients whose session ended a moment ago. Pure, and bounded.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::client::ClientKey;

/// Who counts as reconnecting (`[server.reconnect]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Sessions that were shorter were no play.
    pub min_session: Duration,
    /// How long after its session's end a client counts.
    pub window: Duration,
}

/// Clients remembered; the oldest go first. Ten full houses, in about 8 MB.
const CLIENTS: usize = 100_000;

/// Clients whose session has ended lately.
#[derive(Debug, Default)]
pub struct Recent {
    ended: HashMap<ClientKey, Instant>,
    /// In order of time. A client that has come and gone again has an older entry too, which counts for nothing.
    order: VecDeque<(Instant, ClientKey)>,
}

impl Recent {
    /// Notes the end of a session that lasted long enough.
    pub fn note(&mut self, client: ClientKey, now: Instant, rule: Rule) {
        while let Some(&(ended, oldest)) = self.order.front() {
            if self.order.len() < CLIENTS && now.saturating_duration_since(ended) < rule.window {
                break;
            }
            self.order.pop_front();
            if self.ended.get(&oldest) == Some(&ended) {
                self.ended.remove(&oldest);
            }
        }
        self.ended.insert(client, now);
        self.order.push_back((now, client));
    }

    /// Who was, the last first, so many at most; some of them again, and further back.
    pub fn newest(&self, most: usize) -> Vec<(ClientKey, Instant)> {
        self.order.iter().rev().take(most).map(|&(at, client)| (client, at)).collect()
    }

    /// Whether the client was playing a moment ago.
    pub fn has(&self, client: ClientKey, now: Instant, rule: Rule) -> bool {
        self.ended.get(&client).is_some_and(|&ended| now.saturating_duration_since(ended) < rule.window)
    }
}

/// Clients that are known by a word of their own, whose requests come one by one: from when to when they were served.
#[derive(Debug, Default)]
pub struct Regulars {
    served: HashMap<ClientKey, Served>,
    /// In order of time, by when they were served when they were last looked at here.
    order: VecDeque<(Instant, ClientKey)>,
}

#[derive(Debug, Clone, Copy)]
struct Served {
    first: Instant,
    last: Instant,
}

impl Regulars {
    /// Notes that a client was served.
    pub fn note(&mut self, client: ClientKey, now: Instant, rule: Rule) {
        self.forget(now, rule);
        match self.served.get_mut(&client) {
            Some(served) => served.last = now,
            None => {
                self.served.insert(client, Served { first: now, last: now });
                self.order.push_back((now, client));
            }
        }
    }

    /// Those that were, from when to when, so many at most.
    pub fn newest(&self, most: usize) -> Vec<(ClientKey, Instant, Instant)> {
        let newest = self.order.iter().rev().take(most);
        newest.filter_map(|(_, client)| self.served.get(client).map(|its| (*client, its.first, its.last))).collect()
    }

    /// Goes on with what another process has known.
    pub fn resume(&mut self, client: ClientKey, first: Instant, last: Instant, rule: Rule) {
        self.note(client, last, rule);
        if let Some(served) = self.served.get_mut(&client) {
            served.first = served.first.min(first);
        }
    }

    /// Whether the client was served until a moment ago, and for long enough.
    pub fn has(&self, client: ClientKey, now: Instant, rule: Rule) -> bool {
        self.served.get(&client).is_some_and(|served| {
            now.saturating_duration_since(served.last) < rule.window
                && served.last.saturating_duration_since(served.first) >= rule.min_session
        })
    }

    /// Those who have not come for so long, and, where there is no room left, whoever was looked at first.
    fn forget(&mut self, now: Instant, rule: Rule) {
        let is_over = |at| now.saturating_duration_since(at) >= rule.window;
        while let Some(&(at, oldest)) = self.order.front() {
            if !is_over(at) && self.order.len() < CLIENTS {
                break;
            }
            self.order.pop_front();
            match self.served.get(&oldest) {
                Some(served) if is_over(at) && !is_over(served.last) => self.order.push_back((served.last, oldest)),
                _ => drop(self.served.remove(&oldest)),
            }
        }
    }
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
    fn a_regular_was_served_for_a_while_until_a_moment_ago() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        for second in [0, 5, 9] {
            regulars.note(client(1), at(second), RULE);
            assert!(!regulars.has(client(1), at(second), RULE));
        }
        regulars.note(client(1), at(100), RULE);
        assert!(regulars.has(client(1), at(100), RULE) && regulars.has(client(1), at(219), RULE));
        assert!(!regulars.has(client(1), at(220), RULE) && !regulars.has(client(2), at(100), RULE));
        // Others come, and it is remembered as long as it comes itself.
        for second in 0..1000 {
            regulars.note(client(2 + second), at(100 + u64::from(second)), RULE);
            if second % 100 == 0 {
                regulars.note(client(1), at(100 + u64::from(second)), RULE);
            }
        }
        assert!(regulars.has(client(1), at(1100), RULE));
        assert!(
            regulars.served.len() < 130 && regulars.order.len() == regulars.served.len(),
            "{}",
            regulars.served.len()
        );
        regulars.note(client(3), at(5000), RULE);
        assert_eq!((regulars.served.len(), regulars.order.len()), (1, 1));
    }

    #[test]
    fn a_flood_of_words_is_bounded() {
        let (mut regulars, now) = (Regulars::default(), Instant::now());
        for number in 0..u32::try_from(CLIENTS).unwrap() + 1000 {
            regulars.note(client(number), now, RULE);
        }
        assert_eq!((regulars.served.len(), regulars.order.len()), (CLIENTS, CLIENTS));
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
        assert!(recent.has(client(1), at(219), RULE), "the older entry has gone, the newer one has not");
    }

    #[test]
    fn what_was_known_goes_on() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (mut recent, mut regulars) = (Recent::default(), Regulars::default());
        for (number, second) in [(1, 0), (2, 10), (1, 20)] {
            recent.note(client(number), at(second), RULE);
            regulars.note(client(number), at(second), RULE);
        }
        assert_eq!(recent.newest(2), [(client(1), at(20)), (client(2), at(10))]);
        assert_eq!(regulars.newest(9), [(client(2), at(10), at(10)), (client(1), at(0), at(20))]);
        let mut other = Regulars::default();
        regulars.newest(9).into_iter().for_each(|(client, first, last)| other.resume(client, first, last, RULE));
        assert!(other.has(client(1), at(139), RULE) && !other.has(client(1), at(140), RULE));
        assert!(!other.has(client(2), at(20), RULE), "it was not served for long");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let many = u32::try_from(CLIENTS).unwrap() * 3;
        for number in 0..many {
            recent.note(client(number), now, RULE);
        }
        assert_eq!((recent.ended.len(), recent.order.len()), (CLIENTS, CLIENTS));
        assert!(recent.has(client(many - 1), now, RULE) && !recent.has(client(0), now, RULE));
        for _ in 0..many {
            recent.note(client(7), now, RULE);
        }
        assert_eq!((recent.ended.len(), recent.order.len()), (1, CLIENTS), "one client over and over");
        recent.note(client(8), now + RULE.window, RULE);
        assert_eq!(recent.order.len(), 1);
    }
}
