//! Which sessions are shown, in which order, and from where on.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::relay::Direction;
use crate::session::Ids;

struct Stage {
    start: Instant,
    ids: Ids,
    tallies: [Arc<Tally>; 2],
    pool: Arc<Pool>,
}

impl Stage {
    fn new() -> Self {
        let tally = |name: &str| Arc::new(Tally::new(name.parse().unwrap(), 1));
        let backends = crate::pool::tests::plain(&["127.0.0.1:1", "127.0.0.1:2"]);
        Self {
            start: Instant::now(),
            ids: Ids::new(),
            tallies: [tally("game"), tally("web")],
            pool: crate::pool::tests::pool(&backends, None),
        }
    }

    /// A session of a client that came so many seconds after the start.
    fn session(&self, client: &str, second: u64) -> Rc<Handle> {
        let tally = Arc::clone(&self.tallies[usize::from(client.contains(':') && client.starts_with('['))]);
        let accepted_at = self.start + Duration::from_secs(second);
        Handle::new(&self.ids, (client.parse().unwrap(), accepted_at), (tally, Mode::Tcp), None)
    }

    fn query(&self, by: Sort, limit: usize) -> Query {
        Query { filter: Filter::default(), by, descending: true, after: None, limit }
    }
}

fn run(query: &Query, sessions: &[Rc<Handle>]) -> Listing {
    // As two workers would, which know nothing of each other.
    let (one, other) = sessions.split_at(sessions.len() / 2);
    query.join([one, other].map(|its| query.run(its.iter().map(|handle| &**handle), Moment(9_000_000))))
}

fn ports(listing: &Listing) -> Vec<u16> {
    listing.rows.iter().map(|row| row.client.port()).collect()
}

#[test]
fn the_oldest_the_largest_and_the_farthest_come_first() {
    let stage = Stage::new();
    let sessions = ["1.0.0.1:1", "1.0.0.1:2", "1.0.0.1:3"].map(|client| stage.session(client, 9));
    let sessions = [&sessions[..], &[stage.session("1.0.0.1:4", 5)]].concat();
    sessions[1].passed(Direction::Up, 10);
    sessions[2].passed(Direction::Down, 30);
    sessions[0].note_quality(Quality { rtt_us: 7, retransmits: 0 });
    sessions[3].note_quality(Quality { rtt_us: 8, retransmits: 0 });
    for (by, first) in [(Sort::Age, 4), (Sort::Bytes, 3), (Sort::Rtt, 4)] {
        let query = stage.query(by, 10);
        let down = ports(&run(&query, &sessions));
        assert_eq!((down.len(), down[0]), (4, first), "{by:?}");
        let mut up = ports(&run(&Query { descending: false, ..query }, &sessions));
        up.reverse();
        assert_eq!(up, down, "{by:?}");
    }
    assert_eq!(ports(&run(&stage.query(Sort::Bytes, 2), &sessions)), [3, 2]);
}

#[test]
fn a_filter_is_all_that_it_names() {
    let stage = Stage::new();
    let sessions = ["10.0.0.1:1", "10.0.1.1:2", "[::ffff:10.0.0.9]:3", "[2001:db8::1]:4"];
    let sessions = sessions.map(|client| stage.session(client, 1));
    let request = crate::pool::Request::new(crate::net::client::ClientKey::of([1, 0, 0, 1].into()));
    let (_, lease) = stage.pool.lease(&request, Instant::now()).unwrap();
    for handle in &sessions[1..3] {
        handle.lead_to(&stage.pool);
        handle.connected_to(lease.backend());
    }
    let wanted = |filter: Filter| {
        let query = Query { filter, descending: false, ..stage.query(Sort::Rtt, 9) };
        ports(&run(&query, &sessions))
    };
    let client = |network: &str| Filter { client: Some(network.parse().unwrap()), ..Filter::default() };
    assert_eq!(wanted(Filter::default()), [1, 2, 3, 4]);
    assert_eq!(wanted(client("10.0.0.0/24")), [1, 3]);
    assert_eq!(wanted(client("2001:db8::/32")), [4]);
    let web = Some("web".parse().unwrap());
    assert_eq!(wanted(Filter { listener: web.clone(), ..Filter::default() }), [3, 4]);
    let backend = Some(lease.backend().key().clone());
    assert_eq!(wanted(Filter { backend: backend.clone(), ..Filter::default() }), [2, 3]);
    let pool = Some("game".parse().unwrap());
    assert_eq!(wanted(Filter { listener: web, backend, pool, ..client("10.0.0.0/8") }), [3]);
    assert_eq!(wanted(Filter { pool: Some("else".parse().unwrap()), ..Filter::default() }), [0_u16; 0]);
}

#[test]
fn pages_show_everybody_once_whoever_comes_and_goes() {
    let stage = Stage::new();
    let mut random = fastrand::Rng::with_seed(8);
    for (by, descending) in Sort::ALL.into_iter().flat_map(|by| [(by, true), (by, false)]) {
        let stayed: Vec<_> = (1..=100).map(|port| stage.session(&format!("1.0.0.1:{port}"), 1)).collect();
        for handle in &stayed {
            handle.passed(Direction::Up, random.usize(..5));
        }
        let (mut after, mut seen) = (None, Vec::new());
        for page in 0.. {
            // Others come, and are gone again when the next page is asked for.
            let mut sessions = stayed.clone();
            sessions.extend((0..random.usize(..20)).map(|_| stage.session("1.0.0.1:999", random.u64(..3))));
            random.shuffle(&mut sessions);
            let query = Query { descending, after, ..stage.query(by, 7) };
            let listing = run(&query, &sessions);
            assert_eq!(listing.total, sessions.len());
            assert!(listing.rows.len() <= 7 && page < 1000);
            let Some(last) = listing.rows.last() else { break };
            after = Some(last.mark);
            seen.extend(ports(&listing).into_iter().filter(|&port| port != 999));
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "{by:?}");
    }
}
