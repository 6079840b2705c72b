//! Who is next: a line with a lane for each class. Pure.

use std::collections::VecDeque;

/// How soon one who waits is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Was just playing, and comes first.
    Reconnecting,
    /// Everyone else.
    Newcomer,
}

/// Of so many places one is a newcomer's, if one waits: so that nobody waits for ever.
const ROUND: u32 = 4;

/// Those who wait, each class in order of arrival.
#[derive(Debug)]
pub(super) struct Line<T> {
    reconnecting: VecDeque<(Ticket, T)>,
    newcomers: VecDeque<(Ticket, T)>,
    next_number: u64,
    /// Places given, in this round.
    given: u32,
}

/// A place in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    class: Class,
    number: u64,
}

impl<T> Line<T> {
    pub(super) fn new() -> Self {
        Self { reconnecting: VecDeque::new(), newcomers: VecDeque::new(), next_number: 0, given: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.reconnecting.len() + self.newcomers.len()
    }

    /// Joins the end of its lane.
    pub(super) fn join(&mut self, class: Class, waiter: T) -> Ticket {
        let ticket = Ticket { class, number: self.next_number };
        self.next_number += 1;
        self.lane(class).push_back((ticket, waiter));
        ticket
    }

    /// Who is next.
    pub(super) fn first(&self) -> Option<&T> {
        let lane = match self.next_class()? {
            Class::Reconnecting => &self.reconnecting,
            Class::Newcomer => &self.newcomers,
        };
        lane.front().map(|(_, waiter)| waiter)
    }

    /// Takes out who is next, who gets a place.
    pub(super) fn serve(&mut self) -> Option<T> {
        let served = self.skip()?;
        self.given = (self.given + 1) % ROUND;
        Some(served)
    }

    /// Takes out who is next, who wants no place any more.
    pub(super) fn skip(&mut self) -> Option<T> {
        let class = self.next_class()?;
        self.lane(class).pop_front().map(|(_, waiter)| waiter)
    }

    /// Takes out who leaves.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        let lane = self.lane(ticket.class);
        if let Ok(at) = lane.binary_search_by_key(&ticket.number, |(waiting, _)| waiting.number) {
            lane.remove(at);
        }
        if lane.is_empty() {
            // A storm leaves no lasting mark on memory.
            lane.shrink_to_fit();
        }
    }

    /// The newcomers' place is the last of a round.
    fn next_class(&self) -> Option<Class> {
        let newcomers_turn = self.given == ROUND - 1 || self.reconnecting.is_empty();
        match (self.reconnecting.is_empty(), self.newcomers.is_empty()) {
            (true, true) => None,
            (_, false) if newcomers_turn => Some(Class::Newcomer),
            _ => Some(Class::Reconnecting),
        }
    }

    fn lane(&mut self, class: Class) -> &mut VecDeque<(Ticket, T)> {
        match class {
            Class::Reconnecting => &mut self.reconnecting,
            Class::Newcomer => &mut self.newcomers,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Serves all; `R1` is the first of the reconnecting.
    fn order(line: &mut Line<String>) -> String {
        let mut served = Vec::new();
        while let Some(first) = line.first().cloned() {
            assert_eq!(line.serve(), Some(first.clone()));
            served.push(first);
        }
        served.join(" ")
    }

    fn line(arrivals: &str) -> Line<String> {
        let mut line = Line::new();
        for word in arrivals.split(' ') {
            let class = if word.starts_with('R') { Class::Reconnecting } else { Class::Newcomer };
            line.join(class, word.to_owned());
        }
        line
    }

    #[test]
    fn those_who_were_playing_come_first_and_one_place_in_four_is_a_newcomers() {
        assert_eq!(order(&mut line("N1 N2 N3 R1 R2 R3 R4 R5")), "R1 R2 R3 N1 R4 R5 N2 N3");
        assert_eq!(order(&mut line("N1 R1 N2")), "R1 N1 N2");
        assert_eq!(order(&mut line("N1 N2 N3 N4 N5")), "N1 N2 N3 N4 N5");
    }

    #[test]
    fn who_leaves_is_passed_over_and_costs_nobody_a_turn() {
        let mut line = line("R1 R2");
        let leaver = line.join(Class::Newcomer, "N1".to_owned());
        line.join(Class::Newcomer, "N2".to_owned());
        line.leave(leaver);
        line.leave(leaver);
        assert_eq!((line.len(), line.skip()), (3, Some("R1".to_owned())));
        assert_eq!(order(&mut line), "R2 N2");
    }

    proptest! {
        #[test]
        fn each_class_keeps_its_order_and_nobody_waits_for_ever(
            steps in prop::collection::vec((any::<bool>(), any::<bool>()), 1..300),
        ) {
            let (mut line, mut last, mut without_newcomer) = (Line::new(), [None, None], 0);
            for (number, (joins, reconnects)) in steps.into_iter().enumerate() {
                if joins {
                    let class = if reconnects { Class::Reconnecting } else { Class::Newcomer };
                    line.join(class, (class, number));
                    continue;
                }
                let newcomer_waits = !line.newcomers.is_empty();
                let Some((class, number)) = line.serve() else { continue };
                prop_assert!(last[class as usize].is_none_or(|before| before < number));
                last[class as usize] = Some(number);
                without_newcomer = if newcomer_waits && class == Class::Reconnecting { without_newcomer + 1 } else { 0 };
                prop_assert!(without_newcomer < ROUND);
            }
        }
    }
}
