use super::*;
use crate::pool::discovery::Found;

const RUNNING: &str = r#"
[listeners.game]
bind = ["127.0.0.1:1", "127.0.0.1:2"]
pool = "game"
[listeners.web]
bind = "127.0.0.1:3"
pool = "web"
[pools.game]
backends = ["10.0.0.1:7", "10.0.0.2:7", "game.example.com:7"]
[pools.web]
backends = ["10.0.0.3:8"]
"#;

fn config(text: &str) -> Config {
    config::parse(text).unwrap_or_else(|problems| panic!("{problems:?}")).config
}

/// 7 sessions by `game`, on each of its backends some, and 4 by `web`; the name stands for 10.0.0.2 and 10.0.0.9.
fn live() -> Live {
    let name = |name: &str| -> Name { name.parse().unwrap() };
    let found = |address: &str| Found { address: address.parse().unwrap(), backup: false, weight: None };
    let answers = vec![found("10.0.0.2:7"), found("10.0.0.9:7")];
    let mut live = Live {
        sessions: 11,
        listeners: BTreeMap::from([(name("game"), 7), (name("web"), 4)]),
        answers: Answers(BTreeMap::from([("game.example.com:7".parse().unwrap(), answers)])),
        ..Live::default()
    };
    let config = config(RUNNING);
    for (pool_name, sessions) in [("game", [1, 2, 4].as_slice()), ("web", &[4])] {
        let keys = live.keys(pool(&config, &name(pool_name)));
        let backends = keys.into_iter().zip(sessions).map(|(key, sessions)| ((name(pool_name), key), *sessions));
        live.backends.extend(backends.collect::<Vec<_>>());
    }
    live
}

/// What an edit that replaces one text by another would do.
fn after(old: &str, new: &str) -> Preview {
    assert!(RUNNING.contains(old), "{old}");
    weigh(&config(RUNNING), &config(&RUNNING.replace(old, new)), &live())
}

fn told<T: ToString>(list: &[(Name, T)]) -> Vec<String> {
    list.iter().map(|(name, what)| format!("{name} {}", what.to_string())).collect()
}

#[test]
fn an_edit_that_changes_nothing_does_nothing() {
    assert_eq!(after("", ""), Preview::default());
}

#[test]
fn what_comes_touches_nobody() {
    let new = "[listeners.more]\nbind = [\"127.0.0.1:4\", \"127.0.0.1:5\"]\npool = \"more\"\n[pools.more]\nbackends = [\"10.0.0.4:7\"]\n[pools.web]";
    let preview = after("[pools.web]", new);
    assert_eq!(told(&preview.opened), ["more 127.0.0.1:4", "more 127.0.0.1:5"]);
    assert_eq!(told(&preview.added), ["more 10.0.0.4:7"]);
    assert_eq!((preview.changes.len(), preview.affected), (2, 0));
    assert_eq!(
        told(&after("\"10.0.0.3:8\"", "\"10.0.0.3:8\", \"srv:_web._tcp.example.com\"").added),
        ["web srv:_web._tcp.example.com"]
    );
}

#[test]
fn those_of_a_backend_that_goes_are_touched() {
    let preview = after("\"10.0.0.1:7\", ", "");
    assert_eq!(told(&preview.drained), ["game 10.0.0.1:7"]);
    let told: Vec<_> = preview.changes.iter().map(|one| (one.change.to_string(), one.sessions)).collect();
    assert_eq!(told, [("backend 10.0.0.1:7 of pool game removed; its sessions go on".to_owned(), 1)]);
    assert_eq!(preview.affected, 1);
}

#[test]
fn a_name_goes_with_what_it_stands_for_now() {
    let preview = after(", \"game.example.com:7\"", "");
    assert_eq!(told(&preview.drained), ["game game.example.com=10.0.0.9:7"], "10.0.0.2 has an entry of its own");
    assert_eq!(preview.affected, 4);
    let preview = after("\"10.0.0.2:7\", ", "");
    assert_eq!(
        (told(&preview.drained), preview.affected),
        (vec!["game 10.0.0.2:7".to_owned()], 2),
        "it gets another name"
    );
}

#[test]
fn those_of_a_listener_or_an_address_that_goes_are_touched() {
    let preview = after(", \"127.0.0.1:2\"", "");
    assert_eq!((told(&preview.closed), preview.affected), (vec!["game 127.0.0.1:2".to_owned()], 7));
    let web = &RUNNING[RUNNING.find("[listeners.web]").unwrap()..RUNNING.find("[pools.game]").unwrap()];
    let preview = after(web, "");
    assert_eq!((told(&preview.closed), preview.affected), (vec!["web 127.0.0.1:3".to_owned()], 4));
}

#[test]
fn no_more_are_touched_than_there_are() {
    let edit = "[listeners.game]\nbind = \"127.0.0.1:9\"\npool = \"game\"\n[pools.game]\nbackends = [\"10.0.0.9:9\"]\n";
    let preview = weigh(&config(RUNNING), &config(edit), &live());
    assert_eq!(preview.changes.iter().map(|one| one.sessions).sum::<u64>(), 7 + 7 + 4 + 4 + 7);
    assert_eq!(preview.affected, 11);
    assert_eq!(preview.drained.len(), 4);
}

#[test]
fn other_values_are_for_those_who_come_later() {
    let preview = after("pool = \"web\"", "pool = \"game\"\nmaintenance = true");
    assert_eq!((preview.changes.len(), preview.affected), (2, 0));
    let preview = after("[pools.web]", "[pools.web]\nmax_lifetime = \"1m\"");
    assert_eq!((preview.changes.len(), preview.affected), (1, 0));
}
