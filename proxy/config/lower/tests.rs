use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::model::EjectionLimit;
use crate::config::model::{Check, Health, LogFormat, LogLevel, Mode, OnDown, Queue};
use crate::config::parse;
use crate::config::problem::Severity;
use crate::pool::{breaker, health};

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
                format!("admin = {{ bind = {first}, token_file = \"t\" }}\n{}", listener("a", &second)),
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
fn a_backend_that_leads_back_is_refused_and_a_name_that_may_is_noticed() {
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
        let (is_refused, problems) = match parse(&text) {
            Ok(loaded) => (false, loaded.warnings),
            Err(problems) => (true, problems),
        };
        let told = problems.iter().filter(|problem| problem.message.contains("is a listener of this proxy")).count();
        assert_eq!(told, usize::from(noticed), "{bind} {backend}: {problems:?}");
        assert_eq!(is_refused, noticed && !backend.starts_with("localhost"), "{bind} {backend}");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(&(listener("a", "\"0.0.0.0:1\"") + POOL)).unwrap().config;
    assert_eq!(config.server.workers, std::thread::available_parallelism().unwrap());
    assert_eq!(config.admin.bind, Some("127.0.0.1:9900".parse().unwrap()));
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

#[test]
fn a_pool_is_off_where_it_says_nothing() {
    let config = parse(&(listener("a", "\"0.0.0.0:1\"") + POOL)).unwrap().config;
    assert_eq!((config.dns.servers.as_slice(), config.dns.timeout), ([].as_slice(), Duration::from_secs(2)));
    assert_eq!(config.listeners[0].rollout, None);
    let pool = &config.pools[0];
    assert_eq!((pool.queue, &pool.health, &pool.fallback, pool.slow_start), (None, &None, &None, None));
    assert_eq!((pool.last_resort, pool.max_ejected, pool.breaker.failure_rate), (false, EjectionLimit::Half, None));
}

#[test]
fn a_section_that_is_written_has_defaults_for_the_rest() {
    let more = "queue = {}\nhealth = { type = \"http\" }\nbreaker = { failure_rate = \"50%\" }\n";
    let pool = &parse(&(listener("a", "\"0.0.0.0:1\"") + POOL + more)).unwrap().config.pools[0];
    let number = |number| NonZeroU32::new(number).unwrap();
    assert_eq!(pool.queue, Some(Queue { size: number(1000), timeout: Duration::from_secs(5) }));
    let health = Health {
        check: Check::Http { path: "/".into(), status: vec![200] },
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        rule: health::Rule { rise: number(2), fall: number(3) },
        port: None,
        introduced: None,
        on_down: OnDown::Keep,
    };
    assert_eq!(pool.health, Some(health));
    let rate = breaker::FailureRate {
        share: "50%".parse().unwrap(),
        window: Duration::from_secs(30),
        min_sessions: number(20),
    };
    assert_eq!(pool.breaker.failure_rate, Some(rate));
}

#[test]
fn players_are_counted_only_where_a_check_reads_them() {
    let text = |more: &str| format!("{}{POOL}balance = \"fewest_players\"\n{more}", listener("a", "\"0.0.0.0:1\""));
    for more in ["", "health = \"off\"", "health = { type = \"tcp\" }"] {
        assert!(parse(&text(more)).is_err(), "{more}");
    }
    assert!(parse(&text("health = { type = \"minecraft\" }")).is_ok());
}

#[test]
fn clients_of_a_rollout_are_networks_or_addresses() {
    let text = |percent: &str| {
        let rollout = "clients = [\"203.0.113.0/24\", \"2001:db8::/32\", \"192.0.2.7\", \"::1\"]";
        format!(
            "{}rollout = {{ pool = \"game\", percent = {percent}, {rollout} }}\n{POOL}",
            listener("a", "\"0.0.0.0:1\"")
        )
    };
    for (percent, share) in [("0", "0%"), ("12.5", "12.5%"), ("1_0", "10%"), ("1e1", "10%"), ("100", "100%")] {
        let rollout = parse(&text(percent)).unwrap().config.listeners[0].rollout.clone().unwrap();
        assert_eq!(rollout.share.to_string(), share);
        let clients: Vec<_> = rollout.clients.iter().map(ToString::to_string).collect();
        assert_eq!(clients, ["203.0.113.0/24", "2001:db8::/32", "192.0.2.7/32", "::1/128"]);
    }
    for percent in ["-1", "101", "100.1", "nan", "inf", "-inf", "99999999999999999999"] {
        assert!(parse(&text(percent)).is_err(), "{percent}");
    }
}

#[test]
fn every_circle_of_fallbacks_is_told_once() {
    // Each two letters are a pool and its fallback.
    let cases = [
        ("ab bc", vec![]),
        ("aa", vec!["a -> a"]),
        ("ac bc cd dc", vec!["c -> d -> c"]),
        ("ab ba de ed", vec!["a -> b -> a", "d -> e -> d"]),
        ("ae ed db be", vec!["b -> e -> d -> b"]),
    ];
    for (fallbacks, circles) in cases {
        let pool = |name: &str| {
            let to = fallbacks.split(' ').find_map(|pair| pair.strip_prefix(name));
            let fallback = to.map_or_else(String::new, |to| format!("fallback = {to:?}\n"));
            format!("[pools.{name}]\nbackends = [\"10.0.0.1:1\"]\n{fallback}")
        };
        let text = listener("z", "\"0.0.0.0:1\"").replace("game", "a") + &["a", "b", "c", "d", "e"].map(pool).concat();
        let problems = parse(&text).map_or_else(|problems| problems, |parsed| parsed.warnings);
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let expected: Vec<_> =
            circles.iter().map(|circle| format!("pools stand in for each other in a circle: {circle}")).collect();
        assert_eq!(errors.map(|problem| problem.message.clone()).collect::<Vec<_>>(), expected, "{fallbacks:?}");
    }
}

#[test]
fn a_chain_of_fallbacks_has_an_end() {
    let chain = |count: usize| {
        let pool = |n: usize| {
            let fallback = if n + 1 < count { format!("fallback = \"p{}\"", n + 1) } else { String::new() };
            format!("[pools.p{n}]\nbackends = [\"10.0.0.1:1\"]\n{fallback}\n")
        };
        errors(
            &("[listeners.a]\nbind = \"0.0.0.0:1\"\npool = \"p0\"\n".to_owned()
                + &(0..count).map(pool).collect::<String>()),
        )
    };
    assert_eq!(chain(17), Vec::<String>::new());
    for count in [18, 19, 1000] {
        let errors = chain(count);
        assert_eq!(errors.len(), 1, "{count}: {errors:?}");
        assert!(errors[0].contains("more than 16 pools stand in one behind the other"), "{errors:?}");
    }
}

#[test]
fn long_chains_of_fallbacks_are_followed_in_good_time() {
    let pools: String = (0..20_000)
        .map(|n| {
            let next = if n == 19_999 { 10_000 } else { n + 1 };
            format!("[pools.p{n:05}]\nbackends = [\"10.0.0.1:1\"]\nfallback = \"p{next:05}\"\n")
        })
        .collect();
    let errors = errors(&(listener("a", "\"0.0.0.0:1\"") + &pools));
    let [circle] = errors.as_slice() else { panic!("{} errors", errors.len()) };
    assert!(circle.contains("p10000 -> p10001 -> ") && circle.ends_with(" -> p10000"), "{circle:.200}");
    assert!(circle.len() < 300, "{} bytes", circle.len());
}

#[test]
fn a_route_by_a_protocol_that_is_never_agreed_on_is_told() {
    let file = |alpn: &str| {
        format!(
            "[listeners.web]\nbind = \"127.0.0.1:443\"\npool = \"a\"\n\
             [listeners.web.tls]\ncertificates = [{{ cert = \"a.pem\", key = \"a.key\" }}]\n{alpn}\n\
             [[listeners.web.sni]]\nalpn = [\"h2\"]\npool = \"a\"\n[pools.a]\nbackends = [\"10.0.0.1:1\"]\n"
        )
    };
    let told = |alpn: &str| parse(&file(alpn)).unwrap().warnings.render("test", &file(alpn));
    assert!(told("").contains("protocol \"h2\", which alpn of tls does not have"), "{}", told(""));
    assert_eq!(told("alpn = [\"minecraft\", \"h2\"]"), "");
}

#[test]
#[cfg(not(feature = "otlp"))]
fn what_is_not_built_in_is_refused() {
    let game = listener("game", "\"127.0.0.1:1\"");
    let told = errors(&format!("{game}[tracing]\notlp = \"http://127.0.0.1:4318\"\n"));
    assert_eq!(told, ["this portti was built without the feature otlp"]);
    assert!(errors(&format!("{game}[tracing]\notlp = \"off\"\nsample = \"10%\"\n")).is_empty());
}
