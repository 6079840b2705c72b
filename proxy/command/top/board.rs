//! What there is to see, and what keys do. Pure: the clock is an argument.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::time::Instant;

use super::super::backend::Backend;
use super::super::table::{cell, rows};
use super::feed::{News, Point};

/// The last ten minutes.
const POINTS_MAX: usize = 600;
/// More than fits a screen.
const EVENTS_MAX: usize = 100;

/// Everything that a screen shows.
#[derive(Debug)]
pub(super) struct Board {
    /// Who is watched.
    pub(super) admin: String,
    now: Facts,
    /// What was there when it was paused.
    frozen: Option<Facts>,
    /// Since when nothing comes, and why.
    pub(super) lost: Option<(Instant, String)>,
    /// Pool and address.
    chosen: Option<(String, String)>,
    /// What is done when the question is answered with yes.
    pub(super) question: Option<Order>,
    /// What became of the last order.
    pub(super) note: Option<String>,
}

/// What the running portti has told.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) status: Value,
    pub(super) points: VecDeque<Point>,
    pub(super) events: VecDeque<Value>,
}

/// A backend that is to change its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) backend: Backend,
    pub(super) state: State,
}

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Drain,
    Maintenance,
}

/// What a key asks of the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Press {
    Nothing,
    Quit,
    Do(Order),
}

impl State {
    /// The API's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }
}

impl Board {
    /// A board that knows nothing but a status.
    pub(super) fn new(admin: String, status: Value) -> Self {
        let now = Facts { status, ..Facts::default() };
        let mut board = Self { admin, now, frozen: None, lost: None, chosen: None, question: None, note: None };
        board.step(0);
        board
    }

    /// What is to be shown.
    pub(super) fn facts(&self) -> &Facts {
        self.frozen.as_ref().unwrap_or(&self.now)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn is_chosen(&self, pool: &str, address: &str) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| (chosen.0.as_str(), chosen.1.as_str()) == (pool, address))
    }

    /// Takes news.
    pub(super) fn hear(&mut self, news: News, at: Instant) {
        match news {
            News::History(points) => {
                self.lost = None;
                let left_out = points.len().saturating_sub(POINTS_MAX);
                self.now.points = points.into_iter().skip(left_out).collect();
                self.now.events.clear();
            }
            News::Status(status) => {
                self.lost = None;
                push(&mut self.now.points, Point::read(&status["point"]), POINTS_MAX);
                self.now.status = status;
                // The chosen one may have gone.
                self.step(0);
            }
            News::Event(event) => push(&mut self.now.events, event, EVENTS_MAX),
            News::Lost(why) => {
                let since = self.lost.as_ref().map_or(at, |(since, _)| *since);
                self.lost = Some((since, why));
            }
            News::Note(note) => self.note = Some(note),
        }
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Press {
        if key.kind == KeyEventKind::Release {
            return Press::Nothing;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Press::Quit;
        }
        if let Some(order) = self.question.take() {
            // Whatever is not yes is no.
            return if key.code == KeyCode::Char('y') { Press::Do(order) } else { Press::Nothing };
        }
        self.note = None;
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Press::Quit,
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Char('p') => self.frozen = if self.is_paused() { None } else { Some(self.now.clone()) },
            KeyCode::Char('d') => self.ask(State::Drain),
            KeyCode::Char('r') => self.ask(State::Ready),
            KeyCode::Char('m') => self.ask(State::Maintenance),
            _ => {}
        }
        Press::Nothing
    }

    fn ask(&mut self, state: State) {
        let Some((pool, address)) = self.chosen.clone() else { return };
        self.question = Some(Order { backend: Backend { pool, address }, state });
    }

    /// Chooses the backend so many rows away, or the first if none is chosen that is still there.
    fn step(&mut self, by: isize) {
        let all: Vec<_> = backends(&self.facts().status).map(|(pool, address, _)| (pool, address)).collect();
        let at = self.chosen.as_ref().and_then(|chosen| all.iter().position(|one| one == chosen));
        let at = at.map_or(0, |at| at.saturating_add_signed(by).min(all.len() - 1));
        self.chosen = all.into_iter().nth(at);
    }
}

/// All backends with their pools, in the status' order.
pub(super) fn backends(status: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    rows(&status["pools"]).flat_map(|pool| {
        rows(&pool["backends"]).map(|backend| (cell(&pool["name"]), cell(&backend["address"]), backend))
    })
}

fn push<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    list.push_back(item);
    while list.len() > most {
        list.pop_front();
    }
}

#[cfg(test)]
mod tests;
