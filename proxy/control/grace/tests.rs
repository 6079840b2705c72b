//! Edits that bring names, with invented answers and instants.

use std::time::Duration;

use super::*;
use crate::pool::discovery::Found;

const SECOND: Duration = Duration::from_secs(1);

/// What runs, edit by edit.
struct Story {
    config: Config,
    entries: Entries,
    answers: Answers,
    grace: ResolveGrace,
    began: Instant,
}

fn config(pools: &[(&str, &str)]) -> Config {
    let first = pools[0].0;
    let pools: String = pools
        .iter()
        .map(|(name, backends)| format!("[pools.{name}]\nbackends = [{backends}]\ndiscovery.resolve_grace = \"10s\"\n"))
        .collect();
    let text = format!("[listeners.game]\nbind = \"127.0.0.1:1\"\npool = \"{first}\"\n{pools}");
    crate::config::parse(&text).unwrap().config
}

impl Story {
    fn of(pools: &[(&str, &str)]) -> Self {
        let (config, answers) = (config(pools), Answers::default());
        let mut story =
            Self { config, entries: Entries::new(), answers, grace: ResolveGrace::default(), began: Instant::now() };
        story.look(0);
        story
    }

    fn answer(&mut self, name: &str, last: u8) {
        let found = Found { address: ([192, 0, 2, last], 1).into(), weight: None, backup: false };
        self.answers.0.insert(name.parse().unwrap(), vec![found]);
    }

    /// What pools have after so many seconds.
    fn look(&mut self, seconds: u32) -> Vec<String> {
        self.grace.end(&self.answers, self.began + seconds * SECOND);
        let kept = self.grace.kept();
        let resolved = discovery::Resolved { answers: &self.answers, kept: &kept };
        self.entries = self.config.pools.iter().map(|pool| (pool.name.clone(), resolved.entries(pool))).collect();
        self.entries.values().flatten().map(|entry| entry.key.to_string()).collect()
    }

    fn edit(&mut self, pools: &[(&str, &str)], seconds: u32) -> Vec<String> {
        let new = config(pools);
        let before = Before { config: &self.config, entries: &self.entries };
        self.grace.edit(&new, before, &self.answers, self.began + seconds * SECOND);
        self.config = new;
        self.look(seconds)
    }

    fn refusal(&self, pools: &[(&str, &str)], denied: &[&str]) -> Option<String> {
        let denied = denied.iter().map(|name| (name.parse().unwrap(), "NXDOMAIN".to_owned())).collect();
        let before = Before { config: &self.config, entries: &self.entries };
        refuse_empty(&config(pools), before, &self.answers, &denied).err()
    }
}

const A: &str = "\"10.0.0.1:1\"";
const B: &str = "\"10.0.0.2:1\"";

#[test]
fn removed_backends_stay_until_the_new_name_is_found() {
    let mut story = Story::of(&[("game", A)]);
    assert_eq!(story.edit(&[("game", "\"new.test:1\"")], 1), ["10.0.0.1:1"]);
    assert_eq!(story.grace.next_end(), Some(story.began + 11 * SECOND));
    story.answer("new.test:1", 7);
    assert_eq!(story.look(2), ["new.test=192.0.2.7:1"]);
    assert_eq!(story.grace.next_end(), None);
}

#[test]
fn removed_backends_stay_no_longer_than_the_grace() {
    let mut story = Story::of(&[("game", "\"10.0.0.1:1\", \"10.0.0.2:1\"")]);
    assert_eq!(story.edit(&[("game", "\"10.0.0.2:1\", \"new.test:1\"")], 1), ["10.0.0.2:1", "10.0.0.1:1"]);
    assert_eq!(story.look(10), ["10.0.0.2:1", "10.0.0.1:1"]);
    assert_eq!(story.look(11), ["10.0.0.2:1"]);
}

#[test]
fn a_further_edit_goes_on_with_the_grace_of_the_one_before() {
    let mut story = Story::of(&[("game", A)]);
    story.edit(&[("game", "\"typo.test:1\"")], 1);
    assert_eq!(story.edit(&[("game", "\"typo.test:1\", \"10.0.0.2:1\"")], 5), ["10.0.0.2:1", "10.0.0.1:1"]);
    assert_eq!(story.grace.next_end(), Some(story.began + 11 * SECOND), "no new name, no more time");
    assert_eq!(story.edit(&[("game", "\"right.test:1\"")], 6), ["10.0.0.2:1", "10.0.0.1:1"]);
    assert_eq!(story.grace.next_end(), Some(story.began + 16 * SECOND));
    assert_eq!(story.edit(&[("game", B)], 7), ["10.0.0.2:1"], "nothing is waited for any more");
}

#[test]
fn a_name_that_never_had_an_answer_keeps_nobody() {
    let mut story = Story::of(&[("game", "\"10.0.0.1:1\", \"lost.test:1\"")]);
    assert_eq!(story.edit(&[("game", "\"10.0.0.2:1\", \"lost.test:1\"")], 1), ["10.0.0.2:1"]);
}

#[test]
fn the_address_that_a_new_name_has_is_there_once() {
    let mut story = Story::of(&[("game", "\"192.0.2.7:1\"")]);
    story.edit(&[("game", "\"new.test:1\", \"other.test:1\"")], 1);
    story.answer("new.test:1", 7);
    assert_eq!(story.look(2), ["new.test=192.0.2.7:1"]);
}

#[test]
fn an_edit_is_refused_where_nothing_would_be_left_of_a_pool_that_players_come_to() {
    let story = Story::of(&[("game", A)]);
    let typo = "\"typo.test:1\"";
    let refusal = story.refusal(&[("game", typo)], &["typo.test:1"]).unwrap();
    assert!(refusal.starts_with("error: pools.game.backends: typo.test:1 does not resolve (NXDOMAIN)"), "{refusal}");
    // The listener goes to a pool of another name.
    assert!(story.refusal(&[("other", typo)], &["typo.test:1"]).is_some());
    // It may come yet; something is left; nobody comes there.
    assert_eq!(story.refusal(&[("game", typo)], &[]), None);
    assert_eq!(story.refusal(&[("game", "\"typo.test:1\", \"10.0.0.1:1\"")], &["typo.test:1"]), None);
    assert_eq!(story.refusal(&[("game", A), ("other", typo)], &["typo.test:1"]), None);
    let empty = Story::of(&[("game", typo)]);
    assert_eq!(empty.refusal(&[("game", "\"typo.test:2\"")], &["typo.test:2"]), None);
}
