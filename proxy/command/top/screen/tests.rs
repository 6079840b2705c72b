use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use serde_json::json;

use super::super::feed::{News, Point};
use super::*;

fn status() -> Value {
    let backend = |address: &str, admin: &str, health: &str, circuit: &str| {
        json!({"address": address, "admin": admin, "health": health, "circuit": circuit, "eligible": circuit == "closed",
               "sessions_active": 45, "max_connections": 100, "failures_total": 3, "connect_ms": {"median": 0.4},
               "players_rtt_us": {"median": 31_000}})
    };
    json!({
        "version": "0.1.0", "state": "running", "service_level": "full", "uptime_seconds": 3725, "sessions_active": 90,
        "max_connections": 10_000, "refused_total": {"denied": 2},
        "pools": [
            {"name": "game", "queue_depth": 4, "backends": [
                backend("10.0.0.1:7", "ready", "up", "closed"),
                backend("10.0.0.2:7", "drain", "up", "closed"),
                backend("10.0.0.3:7", "ready", "up", "open"),
            ]},
            {"name": "web", "backends": [{"address": "10.0.0.4:8", "admin": "ready", "health": "down", "circuit": "closed",
                                          "eligible": false, "sessions_active": 0, "failures_total": 9}]},
        ],
        "point": {"sessions": 90, "new": 7, "refused": 1},
    })
}

fn board() -> Board {
    let mut board = Board::new("10.9.9.9:9900".to_owned(), json!({}));
    let point = |sessions| Point { sessions, new: 0, refused: 0 };
    board.hear(News::History((0..120).map(point).collect()), Instant::now());
    let event =
        json!({"at": "2026-01-02T03:04:05.678Z", "level": "WARN", "text": "circuit opened", "backend": "10.0.0.3:7"});
    board.hear(News::Event(event), Instant::now());
    board.hear(News::Status(status()), Instant::now());
    board
}

fn press(board: &mut Board, key: char) {
    board.press(KeyEvent::from(KeyCode::Char(key)));
}

fn drawn(board: &Board, width: u16, height: u16, now: Instant) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, board, now)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of a screen, without the space behind them.
fn lines(board: &Board, width: u16, height: u16) -> Vec<String> {
    let buffer = drawn(board, width, height, Instant::now());
    let cells: Vec<_> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    cells.chunks(width.into()).map(|line| line.concat().trim_end().to_owned()).collect()
}

#[tokio::test]
async fn a_wide_screen_has_everything() {
    let expected = "\
portti 0.1.0  10.9.9.9:9900  running  level full  up 1h 2m
sessions 90/10000  new 7/s  refused 1/s  refused so far: denied 2
sessions of the last 2m 1s, at most 119 of 10000────────────────────────────────────────────────────
";
    let screen = lines(&board(), 100, 24);
    assert_eq!(screen[..3].join("\n") + "\n", expected);
    let table = "\
BACKEND                            STATE        SESSIONS                 FAILED  CONNECT   RTT
pool game 4 wait
 10.0.0.1:7                        up           45/100      █████░░░░░░░ 3       0.40 ms   31.0 ms
 10.0.0.2:7                        drain        45/100      █████░░░░░░░ 3       0.40 ms   31.0 ms
 10.0.0.3:7                        circuit open 45/100      █████░░░░░░░ 3       0.40 ms   31.0 ms
pool web
 10.0.0.4:8                        down         0                        9       -         -";
    assert_eq!(screen[6..13].join("\n"), table);
    assert!(screen[17].starts_with("events───"), "{}", screen[17]);
    assert_eq!(screen[18], "03:04:05 circuit opened  backend=10.0.0.3:7");
    assert_eq!(screen[23], KEYS);
}

#[tokio::test]
async fn a_small_screen_has_the_backends() {
    let screen = lines(&board(), 40, 8);
    assert_eq!(screen[2], "BACKEND         STATE        SESSIONS");
    assert_eq!(screen[4], " 10.0.0.1:7     up           45/100");
    for size in [(1, 1), (3, 2), (10, 3), (20, 5), (200, 60)] {
        lines(&board(), size.0, size.1);
    }
}

#[tokio::test]
async fn the_chosen_backend_is_to_be_seen() {
    let mut board = board();
    (0..5).for_each(|_| press(&mut board, 'j'));
    let screen = lines(&board, 60, 6);
    assert!(screen.iter().any(|line| line.starts_with(" 10.0.0.4:8")), "{screen:?}");
    let buffer = drawn(&board, 60, 6, Instant::now());
    let reversed = buffer.content().iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED));
    assert_eq!(reversed.count(), 60);
}

#[tokio::test]
async fn a_state_has_a_colour_beside_its_word() {
    let buffer = drawn(&board(), 100, 24, Instant::now());
    let colour = |line: u16| buffer[(35, line)].fg;
    assert_eq!([colour(8), colour(9), colour(10), colour(12)], [Color::Green, Color::Yellow, Color::Red, Color::Red]);
}

#[tokio::test]
async fn the_last_line_asks_warns_and_tells() {
    let mut board = board();
    let start = Instant::now();
    let last = |board: &Board, later: u64| {
        let buffer = drawn(board, 100, 10, start + Duration::from_secs(later));
        (0..100).map(|column| buffer[(column, 9)].symbol()).collect::<String>().trim_end().to_owned()
    };
    board.hear(News::Note("done\nand done".to_owned()), start);
    assert_eq!(last(&board, 0), "done and done");
    board.hear(News::Lost("it has gone".to_owned()), start);
    assert_eq!(last(&board, 12), "lost for 12 s, trying again: it has gone");
    press(&mut board, 'd');
    assert_eq!(last(&board, 12), "drain backend 10.0.0.1:7 of pool game? Its sessions (45) go on. y/n");
    press(&mut board, 'n');
    press(&mut board, 'p');
    assert!(lines(&board, 100, 24)[0].ends_with("  paused"));
}

#[tokio::test]
async fn the_curve_has_a_bar_for_each_column() {
    let facts = board().facts().clone();
    assert_eq!(curve(&facts, 40).len(), 31, "121 points, 4 to a bar");
    assert_eq!(curve(&facts, 40)[..2], [3, 7]);
    assert_eq!(curve(&facts, 200).len(), 121);
    assert_eq!(curve(&Facts::default(), 0), [0; 0]);
}
