//! What has happened, the newest first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use serde_json::Value;

use super::super::super::table::cell;
use super::super::board::Facts;
use super::{bad, warning};

/// Draws as many as there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, facts: &Facts) {
    let lines: Vec<_> = facts.events.iter().rev().take(area.height.into()).map(line).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::TOP).title("events")), area);
}

fn line<'a>(event: &Value) -> Line<'a> {
    let style = match cell(&event["level"]).to_ascii_lowercase().as_str() {
        "error" => bad(),
        "warn" => warning(),
        _ => Style::new(),
    };
    let mut line = Line::from(vec![
        Span::styled(format!("{} ", time(&cell(&event["at"]))), Modifier::DIM),
        Span::styled(cell(&event["text"]), style),
    ]);
    for key in ["listener", "pool", "backend", "client"] {
        if event[key].is_string() {
            line.push_span(Span::raw(format!("  {key}={}", cell(&event[key]))));
        }
    }
    line
}

/// The time of day of an RFC 3339 text, in UTC.
fn time(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}
