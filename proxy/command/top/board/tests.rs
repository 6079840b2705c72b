use std::time::Duration;

use serde_json::json;

use super::*;

fn status(addresses: &[&str]) -> Value {
    let backends: Vec<_> = addresses.iter().map(|address| json!({"address": address})).collect();
    json!({"pools": [{"name": "game", "backends": backends}, {"name": "web", "backends": [{"address": "w:1"}]}],
           "point": {"sessions": 3, "new": 1, "refused": 0}})
}

fn board() -> Board {
    Board::new("127.0.0.1:9900".to_owned(), status(&["a:1", "b:1"]))
}

fn press(board: &mut Board, keys: &str) -> Vec<Press> {
    let presses = keys.chars().map(|key| board.press(KeyEvent::from(KeyCode::Char(key))));
    presses.filter(|press| *press != Press::Nothing).collect()
}

fn chosen(board: &Board) -> &str {
    &board.chosen.as_ref().unwrap().1
}

fn order(address: &str, state: State) -> Press {
    Press::Do(Order { backend: Backend { pool: "game".to_owned(), address: address.to_owned() }, state })
}

#[tokio::test]
async fn arrows_choose_and_stop_at_the_ends() {
    let mut board = board();
    let seen = ["", "k", "j", "j", "j", "k"].iter().map(|keys| {
        press(&mut board, keys);
        chosen(&board).to_owned()
    });
    assert_eq!(seen.collect::<Vec<_>>(), ["a:1", "a:1", "b:1", "w:1", "w:1", "b:1"]);
    board.press(KeyEvent::from(KeyCode::Up));
    assert!(board.is_chosen("game", "a:1") && !board.is_chosen("web", "a:1"));
}

#[tokio::test]
async fn the_chosen_one_stays_so_wherever_it_moves_and_until_it_goes() {
    let mut board = board();
    press(&mut board, "j");
    board.hear(News::Status(status(&["0:1", "a:1", "b:1"])), Instant::now());
    assert_eq!(chosen(&board), "b:1");
    board.hear(News::Status(status(&["0:1"])), Instant::now());
    assert_eq!(chosen(&board), "0:1");
    board.hear(News::Status(json!({})), Instant::now());
    assert_eq!(board.chosen, None);
    assert_eq!(press(&mut board, "jdy"), []);
}

#[tokio::test]
async fn nothing_is_done_without_a_yes() {
    let mut board = board();
    assert_eq!(press(&mut board, "d"), []);
    assert_eq!(press(&mut board, "ny"), []);
    assert_eq!(press(&mut board, "dy"), [order("a:1", State::Drain)]);
    assert_eq!(press(&mut board, "jry"), [order("b:1", State::Ready)]);
    assert_eq!(press(&mut board, "mqmy"), [order("b:1", State::Maintenance)], "q was the answer");
    assert_eq!(press(&mut board, "q"), [Press::Quit]);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!((press(&mut board, "d"), board.press(interrupt)), (vec![], Press::Quit));
}

#[tokio::test]
async fn what_an_order_has_come_to_is_shown_until_the_next_key() {
    let mut board = board();
    board.hear(News::Note("done".to_owned()), Instant::now());
    assert_eq!(board.note.as_deref(), Some("done"));
    press(&mut board, "j");
    assert_eq!(board.note, None);
}

#[tokio::test]
async fn a_pause_shows_what_was_there() {
    let mut board = board();
    press(&mut board, "p");
    board.hear(News::Status(status(&["c:1"])), Instant::now());
    assert_eq!((board.facts().status.clone(), board.facts().points.len()), (status(&["a:1", "b:1"]), 0));
    press(&mut board, "p");
    assert_eq!((board.facts().status.clone(), board.facts().points.len()), (status(&["c:1"]), 1));
}

#[tokio::test]
async fn a_loss_counts_from_its_beginning_until_something_comes() {
    let (mut board, start) = (board(), Instant::now());
    board.hear(News::Lost("one".to_owned()), start);
    board.hear(News::Lost("two".to_owned()), start + Duration::from_secs(9));
    assert_eq!(board.lost, Some((start, "two".to_owned())));
    board.hear(News::History(vec![]), start);
    assert_eq!(board.lost, None);
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let mut board = board();
    board.hear(News::History(vec![Point::default(); POINTS_MAX + 5]), Instant::now());
    for _ in 0..EVENTS_MAX + 5 {
        board.hear(News::Event(json!({})), Instant::now());
        board.hear(News::Status(status(&["a:1"])), Instant::now());
    }
    let facts = board.facts();
    assert_eq!((facts.points.len(), facts.events.len()), (POINTS_MAX, EVENTS_MAX));
    assert_eq!(facts.points.back(), Some(&Point { sessions: 3, new: 1, refused: 0 }));
    board.hear(News::History(vec![]), Instant::now());
    assert_eq!((board.facts().points.len(), board.facts().events.len()), (0, 0), "they are told again");
}
