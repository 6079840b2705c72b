//! What is found while a file is read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::syntax::Damage;
use crate::config::problem::{Problem, Problems};

/// Where everything that is found goes. In cells, so that sections can be read one inside the other.
#[derive(Debug, Default)]
pub(in crate::config) struct Report {
    problems: RefCell<Problems>,
    advice: RefCell<Vec<Problem>>,
    keys: RefCell<BTreeSet<String>>,
    damage: Damage,
}

impl Report {
    /// One that holds what could not be read.
    pub(in crate::config) fn new(mut damage: Damage) -> Self {
        let mut problems = Problems::default();
        damage.problems.drain(..).for_each(|problem| problems.add(problem));
        Self { problems: RefCell::new(problems), advice: RefCell::default(), keys: RefCell::default(), damage }
    }

    /// Keeps a problem, unless it is about a line that could not even be read.
    pub(in crate::config) fn add(&self, problem: Problem) {
        if !problem.span.as_ref().is_some_and(|span| self.damage.covers(span.start)) {
            self.problems.borrow_mut().add(problem);
        }
    }

    /// For a problem that is seen from something missing, which may only be unreadable.
    pub(in crate::config) fn add_unless_damaged(&self, problem: Problem) {
        if !self.damage.any() {
            self.add(problem);
        }
    }

    /// Keeps a warning that is only of interest once the file can be used.
    pub(in crate::config) fn advise(&self, warning: Problem) {
        self.advice.borrow_mut().push(warning);
    }

    /// Notes that the program knows a key.
    pub(super) fn asked_for(&self, pattern: String) {
        self.keys.borrow_mut().insert(pattern);
    }

    /// The problems in the file's order, and the patterns of all keys asked for.
    pub(in crate::config) fn into_parts(self) -> (Problems, BTreeSet<String>) {
        let mut problems = self.problems.into_inner();
        if problems.errors() == 0 {
            self.advice.into_inner().into_iter().for_each(|warning| problems.add(warning));
        }
        problems.sort();
        (problems, self.keys.into_inner())
    }
}
