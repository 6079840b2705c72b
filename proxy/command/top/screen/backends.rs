//! The table: each pool, and a line for each of its backends.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Row, Table, TableState};
use serde_json::Value;

use super::super::super::backend::Backend;
use super::super::super::table::{cell, rows};
use super::super::super::units::{micros, millis};
use super::super::board::{self, Board};
use super::{bad, good, warning};

/// Cells of the bar.
const BAR: usize = 12;

/// The columns, each with the least width of the screen that has room for it.
const COLUMNS: [(&str, Constraint, u16); 7] = [
    ("BACKEND", Constraint::Fill(1), 0),
    ("STATE", Constraint::Length(12), 34),
    ("SESSIONS", Constraint::Length(11), 0),
    ("", Constraint::Length(12), 70),
    ("FAILED", Constraint::Length(7), 60),
    ("CONNECT", Constraint::Length(9), 84),
    ("RTT", Constraint::Length(9), 96),
];

/// Draws it. So many rows are left out above that the chosen backend is to be seen.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let fits = |at: usize| area.width >= COLUMNS[at].2;
    let mut table_rows = Vec::new();
    let mut selected = None;
    for pool in rows(&board.facts().status["pools"]) {
        table_rows.push(Row::new([heading(pool)]));
        for backend in rows(&pool["backends"]) {
            if board.is_chosen(&cell(&pool["name"]), &cell(&backend["address"])) {
                selected = Some(table_rows.len());
            }
            let cells = cells(backend).into_iter().enumerate().filter(|(at, _)| fits(*at));
            table_rows.push(Row::new(cells.map(|(_, cell)| cell)));
        }
    }
    let columns = || COLUMNS.iter().enumerate().filter(|(at, _)| fits(*at)).map(|(_, column)| column);
    let head = Row::new(columns().map(|(head, _, _)| *head)).style(Modifier::DIM);
    let table = Table::new(table_rows, columns().map(|(_, width, _)| *width))
        .header(head)
        .row_highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(selected));
}

/// How many sessions a backend has, as far as is known.
pub(super) fn sessions(status: &Value, backend: &Backend) -> String {
    let found = board::backends(status).find(|(pool, address, _)| (pool, address) == (&backend.pool, &backend.address));
    found.map_or_else(|| "-".to_owned(), |(_, _, found)| cell(&found["sessions_active"]))
}

fn heading<'a>(pool: &Value) -> Text<'a> {
    let mut line = Line::from(Span::styled(format!("pool {}", cell(&pool["name"])), Modifier::BOLD));
    if let Some(waiting) = pool["queue_depth"].as_u64().filter(|&waiting| waiting > 0) {
        line.push_span(Span::styled(format!(" {waiting} wait"), warning()));
    }
    Text::from(line)
}

fn cells<'a>(backend: &Value) -> [Cell<'a>; 7] {
    let (words, style) = state(backend);
    [
        Cell::from(format!(" {}", cell(&backend["address"]))),
        Cell::from(Span::styled(words, style)),
        Cell::from(occupied(backend)),
        Cell::from(bar(backend)),
        Cell::from(cell(&backend["failures_total"])),
        Cell::from(millis(&backend["connect_ms"]["median"])),
        Cell::from(micros(&backend["players_rtt_us"]["median"])),
    ]
}

/// What keeps it from taking sessions, or that nothing does.
fn state(backend: &Value) -> (String, Style) {
    let admin = cell(&backend["admin"]);
    match cell(&backend["circuit"]).as_str() {
        _ if admin == "drain" || admin == "maintenance" => (admin, warning()),
        _ if backend["health"] == "down" => ("down".to_owned(), bad()),
        "open" => ("circuit open".to_owned(), bad()),
        "half_open" => ("half open".to_owned(), warning()),
        _ if backend["eligible"] == false => ("takes nobody".to_owned(), warning()),
        _ if backend["backup"] == true => ("backup".to_owned(), good()),
        _ => ("up".to_owned(), good()),
    }
}

fn occupied(backend: &Value) -> String {
    let sessions = cell(&backend["sessions_active"]);
    match backend["max_connections"].as_u64() {
        Some(most) => format!("{sessions}/{most}"),
        None => sessions,
    }
}

/// How much of its limit is in use; empty where there is none.
fn bar<'a>(backend: &Value) -> Span<'a> {
    let (Some(most), Some(now)) = (backend["max_connections"].as_u64(), backend["sessions_active"].as_u64()) else {
        return Span::raw("");
    };
    let share = |of: u64| usize::try_from(now.min(most) * of / most.max(1)).unwrap_or_default();
    let full = share(BAR as u64);
    let style = if share(100) >= 90 { warning() } else { Style::new() };
    Span::styled(format!("{}{}", "█".repeat(full), "░".repeat(BAR - full)), style)
}
