use super::*;
use crate::config::parse;

const BASE: &str = r#"
[server]
workers = 2
[listeners.game]
bind = ["0.0.0.0:25565", "0.0.0.0:25566"]
pool = "game"
[pools.game]
backends = ["10.0.0.11:25565", { address = "10.0.0.12:25565", weight = 2 }]
"#;

fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{}", problems.render("test", text))).config
}

/// What the log says when `from` in [`BASE`] becomes `to`.
fn said(from: &str, to: &str) -> Vec<String> {
    let edited = BASE.replace(from, to);
    assert_ne!(edited, BASE, "{from:?} is not in the text");
    diff(&config(BASE), &config(&edited)).iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_changes_between_equals() {
    assert_eq!(diff(&config(BASE), &config(BASE)), []);
    assert_eq!(said("\n[server]", "# a comment\n[server]"), [""; 0]);
    assert_eq!(said(r#"["0.0.0.0:25565", "0.0.0.0:25566"]"#, r#"["0.0.0.0:25566", "0.0.0.0:25565"]"#), [""; 0]);
}

/// Whom the changes are about when `from` in [`BASE`] becomes `to`: listener, pool and backend of each.
fn concerned(from: &str, to: &str) -> Vec<[Option<String>; 3]> {
    let changes = diff(&config(BASE), &config(&BASE.replace(from, to)));
    let names =
        |change: &Change| [change.listener().map(str::to_owned), change.pool().map(str::to_owned), change.backend()];
    changes.iter().map(names).collect()
}

#[test]
fn a_change_names_whom_it_is_about() {
    let of = |names: [&str; 3]| names.map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()));
    let (game, backend) = (of(["game", "", ""]), of(["", "game", "10.0.0.12:25565"]));
    assert_eq!(concerned("workers = 2", "workers = 4"), [of(["", "", ""])]);
    assert_eq!(concerned("0.0.0.0:25566", "0.0.0.0:25567"), [game.clone(), game.clone()]);
    assert_eq!(concerned("pool = \"game\"", "pool = \"game\"\nmaintenance = true"), [game]);
    assert_eq!(concerned("weight = 2", "weight = 3"), std::slice::from_ref(&backend));
    assert_eq!(concerned("10.0.0.12", "10.0.0.13")[0], backend);
    assert_eq!(concerned("[pools.game]", "[pools.game]\nretries = 1"), [of(["", "game", ""])]);
    assert_eq!(concerned("10.0.0.12:", "[::1]:")[1], of(["", "game", "[::1]:25565"]));
    assert_eq!(
        concerned(
            "[listeners",
            "[pools.lobby]\nbackends = [\"10.0.0.1:1\"]\n[listeners.lobby]\nbind = \"0.0.0.0:1\"\npool = \"lobby\"\n[listeners"
        ),
        [of(["lobby", "", ""]), of(["", "lobby", ""])]
    );
}

/// An edit of [`BASE`], and what the log says of it.
const CASES: &[(&str, &str, &str)] = &[
    ("workers = 2", "workers = 4", "server.workers: 2 -> 4 needs a restart"),
    ("[server]", "[admin]\nbind = \"off\"\n[server]", "admin.bind: 127.0.0.1:9900 -> off needs a restart"),
    ("[server]", "[admin]\ntoken_file = \"token\"\n[server]", "admin.token_file: none -> token"),
    ("[server]", "[admin]\nhosts = [\"a.example\"]\n[server]", "admin.hosts: [] -> [a.example]"),
    ("[server]", "[log]\nformat = \"json\"\n[server]", "log.format: auto -> json needs a restart"),
    ("[server]", "[log]\nlevel = \"debug\"\n[server]", "log.level: info -> debug"),
    ("[server]", "[log]\naccess = false\n[server]", "log.access: true -> false"),
    ("workers = 2", "workers = 2\nmax_connections = 5", "server.max_connections: 10000 -> 5"),
    ("workers = 2", "workers = 2\ndrain_timeout = \"90s\"", "server.drain_timeout: 30s -> 1m 30s"),
    ("workers = 2", "workers = 2\nshutdown_delay = \"1s\"", "server.shutdown_delay: 0s -> 1s"),
    (", \"0.0.0.0:25566\"", "", "listener game no longer listens on 0.0.0.0:25566; its sessions go on"),
    ("25566\"]", "25566\", \"[::1]:1\"]", "listener game also listens on [::1]:1"),
    ("pool = ", "reuse_port = true\npool = ", "listeners.game.reuse_port: false -> true"),
    ("\"10.0.0.11:25565\", ", "", "backend 10.0.0.11:25565 of pool game removed; its sessions go on"),
    ("[\"10", "[\"a.example:1\", \"10", "backend a.example:1 added to pool game"),
    ("weight = 2", "weight = 3", "pools.game.backends[10.0.0.12:25565].weight: 2 -> 3"),
    ("weight = 2", "weight = 2, backup = true", "pools.game.backends[10.0.0.12:25565].backup: false -> true"),
    (
        "weight = 2",
        "weight = 2, max_connections = 9",
        "pools.game.backends[10.0.0.12:25565].max_connections: no limit -> 9",
    ),
    ("[pools.game]", "[pools.game]\nbalance = \"round_robin\"", "pools.game.balance: least_connections -> round_robin"),
    ("[pools.game]", "[pools.game]\nrequest_timeout = \"off\"", "pools.game.request_timeout: 30s -> off"),
    ("[pools.game]", "[pools.game]\nbreaker.probes = 2", "pools.game.breaker.probes: 1 -> 2"),
    (
        "[pools.game]",
        "[pools.game]\nbreaker.max_ejected = \"20%\"",
        "pools.game.breaker.max_ejected: 50% (of two and more) -> 20%",
    ),
    ("[pools.game]", "[pools.game]\nbalance = \"random_two\"", "pools.game.balance: least_connections -> random_two"),
    ("[pools.game]", "[pools.game]\nslow_start = \"30s\"", "pools.game.slow_start: off -> 30s"),
    ("[pools.game]", "[pools.game]\nlast_resort = true", "pools.game.last_resort: false -> true"),
    ("[server]", "[dns]\nservers = [\"10.0.0.53\"]\n[server]", "dns.servers: [] -> [10.0.0.53:53]"),
    ("[server]", "[dns]\ntimeout = \"1s\"\n[server]", "dns.timeout: 2s -> 1s"),
    ("[\"10", "[\"srv:_a._tcp.example\", \"10", "backend srv:_a._tcp.example added to pool game"),
];

/// [`BASE`] with these keys of the pool.
fn pool_with(keys: &str) -> Config {
    config(&format!("{BASE}{keys}\n"))
}

fn words(old: &Config, new: &Config) -> Vec<String> {
    diff(old, new).iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_of_a_section_changes_alone() {
    let cases = [
        ("health = { type = \"tcp\" }", "health = { type = \"tcp\", interval = \"2s\" }", "health.interval: 5s -> 2s"),
        ("health = { type = \"tcp\" }", "health = { type = \"minecraft\" }", "health.type: tcp -> minecraft"),
        ("health = { type = \"tcp\" }", "health = { type = \"tcp\", port = 1 }", "health.port: the backend's -> 1"),
        ("health = { type = \"tcp\" }", "health = { type = \"tcp\", rise = 1 }", "health.rise: 2 -> 1"),
        (
            "health = { type = \"exchange\", expect = \"OK\" }",
            "health = { type = \"exchange\", expect = \"regex:^OK\\n\" }",
            r#"health.expect: "OK" -> "regex:^OK\n""#,
        ),
        ("queue = {}", "queue = { size = 5 }", "queue.size: 1000 -> 5"),
        (
            "breaker = { failure_rate = \"50%\" }",
            "breaker = { failure_rate = \"50%\", min_sessions = 5 }",
            "breaker.min_sessions: 20 -> 5",
        ),
    ];
    for (old, new, expected) in cases {
        assert_eq!(words(&pool_with(old), &pool_with(new)), [format!("pools.game.{expected}")], "{old} => {new}");
    }
}

#[test]
fn a_check_that_is_switched_on_is_told_by_the_keys_it_has() {
    let (off, tcp, http) =
        (pool_with(""), pool_with("health = { type = \"tcp\" }"), pool_with("health = { type = \"http\" }"));
    let expected = [
        "pools.game.health.type: off -> tcp",
        "pools.game.health.interval: off -> 5s",
        "pools.game.health.timeout: off -> 2s",
        "pools.game.health.rise: off -> 2",
        "pools.game.health.fall: off -> 3",
        "pools.game.health.port: off -> the backend's",
        "pools.game.health.on_down: off -> keep",
    ];
    assert_eq!(words(&off, &tcp), expected);
    let expected = [
        "pools.game.health.type: tcp -> http",
        "pools.game.health.path: off -> /",
        "pools.game.health.status: off -> [200]",
    ];
    assert_eq!(words(&tcp, &http), expected);
    assert_eq!(words(&http, &off).len(), 9);
}

#[test]
fn fallbacks_and_rollouts_come_and_go() {
    let lobby = "[pools.lobby]\nbackends = [\"10.0.0.1:1\"]\n";
    let old = config(&format!("{BASE}{lobby}"));
    let fallback = config(&format!("{BASE}fallback = \"lobby\"\n{lobby}"));
    assert_eq!(words(&old, &fallback), ["pools.game.fallback: none -> lobby"]);
    let rollout = "pool = \"game\"\nrollout = { pool = \"lobby\", percent = 2.5, clients = [\"192.0.2.7\"] }";
    let rollout = config(&format!("{}{lobby}", BASE.replace("pool = \"game\"", rollout)));
    let expected = [
        "listeners.game.rollout.pool: off -> lobby",
        "listeners.game.rollout.percent: off -> 2.5%",
        "listeners.game.rollout.clients: off -> [192.0.2.7/32]",
    ];
    assert_eq!(words(&old, &rollout), expected);
}

#[test]
fn each_change_is_told_in_words() {
    for &(from, to, words) in CASES {
        assert_eq!(said(from, to), [words], "{from} => {to}");
    }
}

#[test]
fn sections_come_and_go() {
    let more = "[pools.lobby]\nbackends = [\"10.0.0.1:1\"]\n[listeners.lobby]\nbind = \"0.0.0.0:1\"\npool = \"lobby\"\n[server]";
    assert_eq!(said("[server]", more), ["listener lobby added", "pool lobby added"]);
    let (less, more) = (config(BASE), config(&BASE.replace("[server]", more)));
    let words: Vec<_> = diff(&more, &less).iter().map(ToString::to_string).collect();
    assert_eq!(words, ["listener lobby removed; its sessions go on", "pool lobby removed; its sessions go on"]);
}

#[test]
fn only_what_is_made_at_start_needs_a_restart() {
    let example = include_str!("../../../config.example.toml");
    let other = config(&BASE.replace("workers = 2", "workers = 3\nmax_connections = 1\ndrain_timeout = \"1s\""));
    let changes = diff(&config(example), &other);
    let restart: Vec<_> = changes.iter().filter(|change| change.needs_restart()).map(ToString::to_string).collect();
    assert_eq!(restart, ["server.workers: 2 -> 3 needs a restart"]);
    assert!(changes.len() > 5, "{changes:?}");
}
