//! The resolver against a name server that says what the test tells it to, over real sockets.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::control::names::answer::{Memory, Taken};
use crate::pool::discovery::Found;

#[derive(Clone)]
enum Reply {
    Records(Vec<RData>),
    Code(ResponseCode),
    /// Over UDP it says to come by TCP, and there, these.
    TooLong(Vec<RData>),
    /// None at all.
    Silence,
}

type Zone = BTreeMap<(&'static str, RecordType), Reply>;

/// Each question that was asked, in order.
type Asked = Rc<RefCell<Vec<(String, RecordType)>>>;

fn v4(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn v6(last: u16) -> RData {
    RData::AAAA(AAAA([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()))
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, target.parse().unwrap()))
}

/// The reply to a packet; `None` is silence. What the zone does not have is NXDOMAIN.
fn reply(zone: &Zone, asked: &Asked, packet: &[u8], by_tcp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(packet).unwrap().into_response();
    let query = message.queries[0].clone();
    let name = query.name().to_string();
    asked.borrow_mut().push((name.clone(), query.query_type()));
    let of = |records: Vec<RData>| {
        let name: Name = query.name().clone();
        records.into_iter().map(move |data| Record::from_rdata(name.clone(), 7, data))
    };
    message.additionals.clear();
    message.edns = None;
    match zone.get(&(name.as_str(), query.query_type())) {
        Some(Reply::Records(records)) => drop(message.add_answers(of(records.clone()))),
        Some(Reply::TooLong(records)) if by_tcp => drop(message.add_answers(of(records.clone()))),
        Some(Reply::TooLong(_)) => message.metadata.truncation = true,
        Some(Reply::Code(code)) => message.metadata.response_code = *code,
        Some(Reply::Silence) => return None,
        None => message.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(message.to_vec().unwrap())
}

async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

/// A name server, and how to ask it. Ends with the test.
async fn serve(zone: Zone) -> (Dns, Asked) {
    let (udp, tcp) = bind().await;
    let dns = Dns { servers: vec![udp.local_addr().unwrap()], timeout: Duration::from_millis(200) };
    let asked = Asked::default();
    let (zone, of_tcp) = (Rc::new(zone), Rc::clone(&asked));
    let (of_udp, zone_of_tcp) = (Rc::clone(&asked), Rc::clone(&zone));
    tokio::task::spawn_local(async move {
        let mut packet = [0; 4096];
        loop {
            let (length, from) = udp.recv_from(&mut packet).await.unwrap();
            if let Some(reply) = reply(&zone, &of_udp, &packet[..length], false) {
                udp.send_to(&reply, from).await.unwrap();
            }
        }
    });
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let (zone, asked) = (Rc::clone(&zone_of_tcp), Rc::clone(&of_tcp));
            tokio::task::spawn_local(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut packet = vec![0; usize::from(length)];
                    stream.read_exact(&mut packet).await.unwrap();
                    if let Some(reply) = reply(&zone, &asked, &packet, true) {
                        stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                        stream.write_all(&reply).await.unwrap();
                    }
                }
            });
        }
    });
    (dns, asked)
}

async fn run(test: impl Future<Output = ()>) {
    tokio::task::LocalSet::new().run_until(test).await;
}

/// An answer as it is taken in where nothing was known before.
struct Told {
    found: Vec<Found>,
    missing: Option<String>,
    ttl: Duration,
}

impl Told {
    fn of(answer: Result<Answer, Failure>) -> Result<Self, String> {
        let answer = answer.map_err(|failure| failure.why)?;
        let Taken { found, missing } = Memory::default().take(&answer).map_err(|failure| failure.why)?;
        Ok(Self { found, missing, ttl: answer.ttl })
    }
}

/// What was found, as text, by address.
fn shown(told: &Told) -> Vec<String> {
    let mut found = told.found.clone();
    found.sort_unstable();
    let word = |found: &Found| match (found.weight, found.backup) {
        (None, _) => found.address.to_string(),
        (Some(weight), backup) => format!("{} x{weight}{}", found.address, if backup { " backup" } else { "" }),
    };
    found.iter().map(word).collect()
}

/// Without a hosts file.
async fn ask(dns: &Dns, name: &str) -> Result<Told, String> {
    Told::of(lookup_with(dns, Hosts::default)(name.parse().unwrap()).await)
}

const SERVER_FAILURE: Reply = Reply::Code(ResponseCode::ServFail);

#[tokio::test]
async fn both_families_are_found_and_the_failure_of_one_is_told() {
    run(async {
        let zone = Zone::from([
            (("both.test.", RecordType::A), Reply::Records(vec![v4(1), v4(2)])),
            (("both.test.", RecordType::AAAA), Reply::Records(vec![v6(1)])),
            (("half.test.", RecordType::A), SERVER_FAILURE),
            (("half.test.", RecordType::AAAA), Reply::Records(vec![v6(2)])),
            (("refused.test.", RecordType::A), Reply::Code(ResponseCode::Refused)),
            (("refused.test.", RecordType::AAAA), Reply::Records(vec![v6(2)])),
            (("quiet.test.", RecordType::A), Reply::Silence),
            (("quiet.test.", RecordType::AAAA), Reply::Records(vec![v6(2)])),
            (("one.test.", RecordType::A), Reply::Records(vec![v4(1)])),
            (("one.test.", RecordType::AAAA), Reply::Records(Vec::new())),
        ]);
        let (dns, _) = serve(zone).await;
        let both = ask(&dns, "both.test:9").await.unwrap();
        assert_eq!(shown(&both), ["192.0.2.1:9", "192.0.2.2:9", "[2001:db8::1]:9"]);
        assert!((6..=7).contains(&both.ttl.as_secs()), "{:?}", both.ttl);
        assert_eq!(both.missing, None);
        for (name, why) in [("half", "A: "), ("refused", "A: "), ("quiet", "A: no answer")] {
            let half = ask(&dns, &format!("{name}.test:9")).await.unwrap();
            assert_eq!(shown(&half), ["[2001:db8::2]:9"]);
            assert!(half.missing.unwrap().starts_with(why), "{name}");
        }
        let one = ask(&dns, "one.test:9").await.unwrap();
        assert_eq!(
            (shown(&one), one.missing),
            (vec!["192.0.2.1:9".to_owned()], None),
            "NXDOMAIN and NODATA are answers"
        );
    })
    .await;
}

#[tokio::test]
async fn failures_are_told_in_words_and_one_packet_may_be_lost() {
    run(async {
        let zone = Zone::from([
            (("broken.test.", RecordType::A), SERVER_FAILURE),
            (("broken.test.", RecordType::AAAA), SERVER_FAILURE),
            (("empty.test.", RecordType::A), Reply::Records(Vec::new())),
            (("empty.test.", RecordType::AAAA), Reply::Records(Vec::new())),
            (("quiet.test.", RecordType::A), Reply::Silence),
            (("quiet.test.", RecordType::AAAA), Reply::Silence),
        ]);
        let (dns, asked) = serve(zone).await;
        assert_eq!(ask(&dns, "none.test:1").await.err().unwrap(), "NXDOMAIN");
        assert_eq!(ask(&dns, "empty.test:1").await.err().unwrap(), "no records");
        assert!(ask(&dns, "broken.test:1").await.err().unwrap().contains("Server Failure"));
        asked.borrow_mut().clear();
        assert_eq!(ask(&dns, "quiet.test:1").await.err().unwrap(), "no answer");
        let tries = asked.borrow().iter().filter(|(_, family)| *family == RecordType::A).count();
        assert_eq!(tries, 2);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_a_packet_comes_by_tcp() {
    run(async {
        let many = (1..=200).map(v4).collect();
        let (dns, _) = serve(Zone::from([(("long.test.", RecordType::A), Reply::TooLong(many))])).await;
        assert_eq!(ask(&dns, "long.test:1").await.unwrap().found.len(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_name_in_the_hosts_file_is_not_asked_for() {
    run(async {
        let read_hosts = || {
            let mut hosts = Hosts::default();
            hosts.read_hosts_conf(&b"127.0.0.1 localhost\n10.0.0.5 game.test # mine\n::1 six.test"[..]).unwrap();
            hosts
        };
        let zone = Zone::from([(("game.test.", RecordType::AAAA), Reply::Records(vec![v6(66)]))]);
        let (dns, asked) = serve(zone).await;
        for (name, expected) in
            [("game.test:1", "10.0.0.5:1"), ("localhost:1", "127.0.0.1:1"), ("six.test:1", "[::1]:1")]
        {
            let answer = Told::of(lookup_with(&dns, read_hosts)(name.parse().unwrap()).await).unwrap();
            assert_eq!(shown(&answer), [expected]);
            assert_eq!(answer.ttl, LIFE, "a change of the file is followed");
        }
        assert!(asked.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_hosts_file_is_there_without_name_servers() {
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(&b"10.0.0.5 game.test"[..]).unwrap();
    let ways = Ways { hosts: Rc::new(hosts), way: Err("no nameservers found in config".into()) };
    let of_host = async |host| Told::of(Ok(by_host(&ways, host, 1).await));
    assert_eq!(shown(&of_host("game.test").await.unwrap()), ["10.0.0.5:1"]);
    assert!(of_host("other.test").await.err().unwrap().contains("no nameservers"));
    assert!(by_service(&ways, "_game._tcp.test").await.unwrap_err().why.contains("no nameservers"));
}

#[tokio::test]
async fn services_have_ports_weights_and_backups() {
    run(async {
        let records = vec![
            srv(20, 0, 3, "one.test."),
            srv(10, 0, 1, "one.test."),
            srv(10, 5, 2, "two.test."),
            srv(10, 5, 4, "gone.test."),
        ];
        let zone = Zone::from([
            (("_game._tcp.test.", RecordType::SRV), Reply::Records(records)),
            (("one.test.", RecordType::A), Reply::Records(vec![v4(1)])),
            (("two.test.", RecordType::AAAA), Reply::Records(vec![v6(2)])),
        ]);
        let (dns, asked) = serve(zone).await;
        let answer = ask(&dns, "srv:_game._tcp.test").await.unwrap();
        assert_eq!(shown(&answer), ["192.0.2.1:1 x1", "192.0.2.1:3 x1 backup", "[2001:db8::2]:2 x5"]);
        assert_eq!(answer.missing, None, "that a target does not exist is an answer");
        let asked = asked.borrow().iter().filter(|(name, _)| name == "one.test.").count();
        assert_eq!(asked, 2, "each family once for both records");
    })
    .await;
}

#[tokio::test]
async fn a_target_that_cannot_be_looked_up_is_missing() {
    run(async {
        let records = vec![srv(10, 1, 1, "one.test."), srv(10, 1, 1, "broken.test.")];
        let zone = Zone::from([
            (("_game._tcp.test.", RecordType::SRV), Reply::Records(records)),
            (("_all._tcp.test.", RecordType::SRV), Reply::Records(vec![srv(10, 1, 1, "broken.test.")])),
            (("one.test.", RecordType::A), Reply::Records(vec![v4(1)])),
            (("broken.test.", RecordType::A), SERVER_FAILURE),
            (("broken.test.", RecordType::AAAA), SERVER_FAILURE),
        ]);
        let (dns, _) = serve(zone).await;
        let answer = ask(&dns, "srv:_game._tcp.test").await.unwrap();
        assert_eq!(shown(&answer), ["192.0.2.1:1 x1"]);
        assert!(answer.missing.unwrap().starts_with("broken.test.: "));
        assert!(ask(&dns, "srv:_all._tcp.test").await.err().unwrap().starts_with("broken.test.: "));
    })
    .await;
}

#[tokio::test]
async fn a_service_of_very_many_records_is_cut() {
    run(async {
        let many = (1..=300).map(|port| srv(301 - port, 1, port, "one.test.")).collect();
        let zone = Zone::from([
            (("_many._tcp.test.", RecordType::SRV), Reply::TooLong(many)),
            (("one.test.", RecordType::A), Reply::Records(vec![v4(1)])),
        ]);
        let (dns, _) = serve(zone).await;
        let answer = ask(&dns, "srv:_many._tcp.test").await.unwrap();
        assert_eq!(answer.found.len(), SERVICES_MAX);
        let main: Vec<_> = answer.found.iter().filter(|found| !found.backup).collect();
        assert_eq!(main.len(), 1);
        assert_eq!(main[0].address.port(), 300, "the first priority is not cut");
    })
    .await;
}

#[test]
fn names_are_completed_as_the_search_list_says() {
    let resolver = |servers| {
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap()
    };
    let server = vec![name_server(&SocketAddr::from(([127, 0, 0, 1], 53)))];
    let search = ["ns.svc.cluster.local.", "cluster.local."].map(|domain| domain.parse().unwrap());
    let way = Way { resolver: resolver(server), search: search.into(), ndots: 2 };
    let names = |host| way.names(host).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names("game.test."), ["game.test."]);
    assert_eq!(names("game"), ["game.ns.svc.cluster.local.", "game.cluster.local.", "game."]);
    assert_eq!(
        names("a.game.test"),
        ["a.game.test.", "a.game.test.ns.svc.cluster.local.", "a.game.test.cluster.local."]
    );
    assert_eq!(names("localhost")[0], "localhost.");
}
