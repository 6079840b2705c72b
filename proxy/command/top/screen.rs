//! How a board looks. Every state is told in words; colours only help.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline};
use serde_json::Value;
use tokio::time::Instant;

use super::super::table::{cell, counts};
use super::super::units::span;
use super::board::{Board, Facts, Order, State};

mod backends;
mod events;

/// Lines of the curve, where there is room for it.
const CURVE: u16 = 4;
/// The least height with a curve, and with events.
const HEIGHT_WITH_CURVE: u16 = 16;
const HEIGHT_WITH_EVENTS: u16 = 24;

const KEYS: &str = "q quit  ↑↓ choose  d drain  r ready  m maintenance  p pause";

/// Draws all of it. What is small has no room for everything: the backends and what is asked come first.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, now: Instant) {
    let area = frame.area();
    let facts = board.facts();
    let curve = if area.height >= HEIGHT_WITH_CURVE { CURVE } else { 0 };
    let events = if area.height >= HEIGHT_WITH_EVENTS { area.height / 4 } else { 0 };
    let layout = [
        Constraint::Length(2),
        Constraint::Length(curve),
        Constraint::Min(0),
        Constraint::Length(events),
        Constraint::Length(1),
    ];
    let [head, middle, table, below, foot] = Layout::vertical(layout).areas(area);
    frame.render_widget(Paragraph::new(vec![process(board, facts), sessions(facts)]), head);
    if curve > 0 {
        draw_curve(frame, middle, facts);
    }
    backends::draw(frame, table, board);
    if events > 0 {
        events::draw(frame, below, facts);
    }
    frame.render_widget(Paragraph::new(footer(board, now)), foot);
}

/// Who is watched, and how it is.
fn process<'a>(board: &Board, facts: &Facts) -> Line<'a> {
    let status = &facts.status;
    let (state, level) = (cell(&status["state"]), cell(&status["service_level"]));
    let up = Duration::from_secs(status["uptime_seconds"].as_u64().unwrap_or_default());
    let mut line = Line::from(vec![
        Span::styled(format!("portti {}", cell(&status["version"])), Modifier::BOLD),
        Span::raw(format!("  {}  ", board.admin)),
        Span::styled(state.clone(), if state == "running" { good() } else { warning() }),
        Span::raw("  level "),
        Span::styled(level.clone(), if level == "full" { good() } else { warning() }),
        Span::raw(format!("  up {}", span(up))),
    ]);
    if status["config"]["last_reload"]["ok"] == false {
        line.push_span(Span::styled("  the last reload was refused", bad()));
    }
    if board.is_paused() {
        line.push_span(Span::styled("  paused", warning()));
    }
    line
}

/// How many there are, come and are refused.
fn sessions<'a>(facts: &Facts) -> Line<'a> {
    let of = |key: &str| cell(&facts.status[key]);
    let mut line = Line::from(format!("sessions {}/{}", of("sessions_active"), of("max_connections")));
    if let Some(point) = facts.points.back() {
        line.push_span(Span::raw(format!("  new {}/s  ", point.new)));
        let style = if point.refused > 0 { warning() } else { Style::new() };
        line.push_span(Span::styled(format!("refused {}/s", point.refused), style));
    }
    let refused = counts(&facts.status["refused_total"]);
    if !refused.is_empty() {
        line.push_span(Span::raw(format!("  refused so far: {refused}")));
    }
    line
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, facts: &Facts) {
    let limit = facts.status["max_connections"].as_u64().unwrap_or_default();
    let curve = curve(facts, area.width);
    let most = curve.iter().copied().max().unwrap_or_default();
    let time = span(Duration::from_secs(facts.points.len() as u64));
    let title = format!("sessions of the last {time}, at most {most} of {limit}");
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Sparkline::default().block(block).data(curve), area);
}

/// As many bars as there are columns, each as high as the most of its time.
fn curve(facts: &Facts, width: u16) -> Vec<u64> {
    let points: Vec<_> = facts.points.iter().map(|point| point.sessions).collect();
    let each = points.len().div_ceil(usize::from(width).max(1)).max(1);
    points.chunks(each).map(|bar| bar.iter().copied().max().unwrap_or_default()).collect()
}

/// What is asked, what is wrong, what was done, or what can be.
fn footer<'a>(board: &Board, now: Instant) -> Line<'a> {
    if let Some(order) = &board.question {
        return Line::styled(question(order, &board.facts().status), warning().add_modifier(Modifier::BOLD));
    }
    if let Some((since, why)) = &board.lost {
        let seconds = now.saturating_duration_since(*since).as_secs();
        return Line::styled(format!("lost for {seconds} s, trying again: {}", why.replace('\n', " ")), bad());
    }
    match &board.note {
        Some(note) => Line::from(note.replace('\n', " ")),
        None => Line::styled(KEYS, Modifier::DIM),
    }
}

fn question(order: &Order, status: &Value) -> String {
    let Order { backend, state } = order;
    let sessions = backends::sessions(status, backend);
    match state {
        State::Drain => format!("drain {backend}? Its sessions ({sessions}) go on. y/n"),
        State::Maintenance => {
            format!("maintenance of {backend}? Its sessions ({sessions}) go on, it is not checked. y/n")
        }
        State::Ready => format!("let {backend} take sessions again? y/n"),
    }
}

fn good() -> Style {
    Style::new().fg(Color::Green)
}

fn warning() -> Style {
    Style::new().fg(Color::Yellow)
}

fn bad() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

#[cfg(test)]
mod tests;
