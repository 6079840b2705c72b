use crate::config::model::{LogFormat, LogLevel, Mode};
use crate::config::parse;
use crate::config::problem::Severity;

const POOL: &str = "[pools.game]\nbackends = [\"10.0.0.11:25565\"]\n";

fn listener(name: &str, bind: &str) -> String {
    format!("[listeners.{name}]\nbind = {bind}\npool = \"game\"\n")
}

/// The messages for a text with [`POOL`], errors only.
fn errors(text: &str) -> Vec<String> {
    let Err(problems) = parse(&format!("{text}{POOL}")) else {
        return Vec::new();
    };
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.message.clone()).collect()
}

#[test]
fn addresses_conflict_within_their_port_and_family() {
    let cases = [
        ("127.0.0.1:1", "127.0.0.1:1", true),
        ("0.0.0.0:1", "127.0.0.1:1", true),
        ("0.0.0.0:1", "0.0.0.0:1", true),
        ("[::]:1", "[::1]:1", true),
        ("0.0.0.0:1", "[::]:1", false),
        ("127.0.0.1:1", "[::1]:1", false),
        ("127.0.0.1:1", "127.0.0.2:1", false),
        ("127.0.0.1:1", "127.0.0.1:2", false),
        ("0.0.0.0:0", "0.0.0.0:0", false),
    ];
    for (one, other, conflict) in cases {
        for (one, other) in [(one, other), (other, one)] {
            let (first, second) = (format!("{one:?}"), format!("{other:?}"));
            let texts = [
                listener("a", &first) + &listener("b", &second),
                listener("a", &format!("[{first}, {second}]")),
                format!("admin.bind = {first}\n{}", listener("a", &second)),
            ];
            for text in texts {
                assert_eq!(errors(&text).len(), usize::from(conflict), "{text}{:?}", errors(&text));
            }
        }
    }
}

#[test]
fn each_listener_is_told_of_one_conflict() {
    let text = listener("a", "\"127.0.0.1:1\"") + &listener("b", "\"127.0.0.1:1\"") + &listener("c", "\"0.0.0.0:1\"");
    let expected =
        ["the address 127.0.0.1:1 is taken by listeners.a.bind", "the address 0.0.0.0:1 is taken by listeners.a.bind"];
    assert_eq!(errors(&text), expected);
}

#[test]
fn a_backend_that_leads_back_is_noticed() {
    let cases = [
        ("127.0.0.1:1", "127.0.0.1:1", true),
        ("0.0.0.0:1", "127.0.0.9:1", true),
        ("[::]:1", "[::1]:1", true),
        ("0.0.0.0:1", "localhost:1", true),
        ("127.0.0.1:1", "localhost:1", true),
        ("10.0.0.1:1", "10.0.0.1:1", true),
        ("[::]:1", "127.0.0.1:1", false),
        ("0.0.0.0:1", "10.0.0.1:1", false),
        ("0.0.0.0:1", "127.0.0.1:2", false),
    ];
    for (bind, backend, noticed) in cases {
        let text = format!("{}[pools.game]\nbackends = [{backend:?}]\n", listener("a", &format!("{bind:?}")));
        let warnings = parse(&text).unwrap().warnings;
        assert_eq!(warnings.iter().count(), usize::from(noticed), "{bind} {backend}: {warnings:?}");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(&(listener("a", "\"0.0.0.0:1\"") + POOL)).unwrap().config;
    assert_eq!(config.server.workers, std::thread::available_parallelism().unwrap());
    assert_eq!(config.admin, Some("127.0.0.1:9900".parse().unwrap()));
    assert_eq!((config.log.level, config.log.format, config.log.access), (LogLevel::Info, LogFormat::Auto, true));
    assert_eq!((config.listeners[0].mode, config.listeners[0].reuse_port), (Mode::Tcp, false));
    let pool = &config.pools[0];
    assert_eq!((pool.max_lifetime, pool.retries), (None, 2));
    assert_eq!((pool.backends[0].weight, pool.backends[0].max_connections, pool.backends[0].backup), (1, None, false));
}

#[test]
fn listeners_and_pools_are_ordered_by_name() {
    let text = listener("b", "\"0.0.0.0:1\"") + &listener("a", "\"0.0.0.0:2\"") + POOL;
    let names: Vec<_> =
        parse(&text).unwrap().config.listeners.iter().map(|listener| listener.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn thousands_of_sections_are_checked_in_good_time() {
    let listeners: String = (0..10_000)
        .map(|n| format!("[listeners.l{n}]\nbind = \"127.{}.{}.1:1\"\npool = \"pool-{}\"\n", n / 256, n % 256, n + 1))
        .collect();
    let pools: String = (0..10_000).map(|n| format!("[pools.pool-{n}]\nbackends = [\"10.0.0.1:1\"]\n")).collect();
    let problems = parse(&(listeners + &pools)).unwrap_err();
    assert_eq!(problems.errors(), 1, "{problems:?}");
}
