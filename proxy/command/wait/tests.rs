use std::cell::Cell;

use serde_json::json;

use super::super::fake;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn backend() -> Backend {
    Backend { pool: "game".to_owned(), address: "a:1".to_owned() }
}

fn silent() -> Teller {
    Teller::Bar(ProgressBar::hidden())
}

fn status(admin: &str, sessions: u64) -> String {
    let backend = json!({"address": "a:1", "admin": admin, "sessions_active": sessions});
    json!({"pools": [{"name": "game", "backends": [backend]}]}).to_string()
}

/// How a wait from three sessions on ends, if the looks find this, the last for ever.
fn end_of(looks: &'static [fn() -> (u16, String)], timeout: Option<Duration>) -> Result<End, Trouble> {
    let mut end = None;
    let at = Cell::new(0);
    let answer = move |_: &fake::Asked| {
        let look = looks[at.get().min(looks.len() - 1)];
        at.set(at.get() + 1);
        look()
    };
    fake::with(answer, async |client, _| {
        tokio::time::pause();
        let backend = backend();
        let wait = Wait::new(&client, &backend, timeout);
        end = Some(wait.end(&json!({"admin": "drain", "sessions_active": 3}), &mut silent()).await);
    });
    end.expect("the test has run")
}

#[test]
fn a_wait_ends_with_the_last_session() {
    assert_eq!(end_of(&[|| (200, status("drain", 2)), || (200, status("drain", 0))], None).unwrap(), End::Empty);
}

#[test]
fn a_wait_ends_when_there_is_nothing_to_wait_for() {
    assert_eq!(end_of(&[|| (200, r#"{"pools": []}"#.to_owned())], None).unwrap(), End::Gone);
    assert_eq!(end_of(&[|| (200, status("ready", 2))], None).unwrap(), End::Ready);
    // Empty for the moment: the next player would be sent there.
    assert_eq!(end_of(&[|| (200, status("ready", 0))], None).unwrap(), End::Ready);
}

#[test]
fn a_wait_goes_on_for_a_backend_that_was_removed_meanwhile() {
    fn removed() -> (u16, String) {
        let backend =
            json!({"pool": "game", "address": "a:1", "removed": true, "admin": "ready", "sessions_active": 2});
        (200, json!({"pools": [], "removed_backends": [backend]}).to_string())
    }
    const EMPTY: fn() -> (u16, String) = || (200, r#"{"pools": [], "removed_backends": []}"#.to_owned());
    assert_eq!(end_of(&[removed], Some(MINUTE)).unwrap(), End::Timeout(2));
    assert_eq!(end_of(&[removed, EMPTY], None).unwrap(), End::Empty);
}

#[test]
fn a_wait_has_an_end_of_its_own() {
    assert_eq!(end_of(&[|| (200, status("drain", 2))], Some(MINUTE)).unwrap(), End::Timeout(2));
}

#[test]
fn what_is_refused_ends_the_wait() {
    let trouble = end_of(&[|| (401, r#"{"code": "unauthorized", "error": "no"}"#.to_owned())], None).unwrap_err();
    assert!(matches!(trouble, Trouble::Refused(_)), "{trouble}");
}

#[test]
fn some_looks_without_an_answer_do_not() {
    assert_eq!(end_of(&[|| (200, String::new()), || (200, status("drain", 0))], None).unwrap(), End::Empty);
    let lost = end_of(&[|| (200, String::new())], None).unwrap_err();
    assert!(matches!(lost, Trouble::NoAnswer { .. }), "{lost}");
}

#[tokio::test]
async fn the_verdict_is_an_exit_code_and_says_what_stays() {
    let (client, backend) = (Client::new("a:1"), backend());
    let wait = Wait::new(&client, &backend, None);
    let told = |end| {
        let (code, words) = wait.verdict(&end);
        (code, words.split_once(" game ").unwrap().1.to_owned())
    };
    assert_eq!(told(End::Empty), (ExitCode::SUCCESS, "has no session left, after 0s".to_owned()));
    let (code, words) = told(End::Timeout(1));
    assert_eq!(
        (code, words.as_str()),
        (ExitCode::FAILURE, "has 1 session left after 0s; it goes on taking nobody new")
    );
    let (code, words) = told(End::Interrupted);
    assert_eq!(code, ExitCode::from(130));
    assert!(words.starts_with("goes on taking nobody new"), "{words}");
    assert_eq!([told(End::Gone).0, told(End::Ready).0], [ExitCode::FAILURE; 2]);
}

#[test]
fn the_estimate_goes_by_those_who_have_gone() {
    let mut course = Course::default();
    course.note(40);
    assert_eq!(course.words(MINUTE), "40 of 40 sessions left");
    course.note(10);
    assert_eq!(course.estimate(MINUTE * 3), Some(MINUTE));
    assert_eq!(course.words(MINUTE * 3), "10 of 40 sessions left, about 1m");
    // Sessions that an upgrade of the file has moved here, or that were connecting when it was set.
    course.note(50);
    assert_eq!(course.words(MINUTE), "50 of 50 sessions left");
}
