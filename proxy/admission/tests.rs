//! The order of the checks, and what each of them lets in, with invented instants.

use std::cell::RefCell;

use ipnet::IpNet;

use super::acl::Networks;
use super::addresses::PerAddress;
use super::rate::Limit;
use super::*;
use crate::config::model::{self, SlotLimits};
use crate::config::scalar::Share;

const PLAYER: &str = "192.0.2.1";
const STRANGER: &str = "198.51.100.1";

fn house(capacity: usize) -> Arc<Admission> {
    Arc::new(Admission::new(capacity, Shares::default(), reconnect::Rule::default()))
}

fn everyone() -> Policy {
    let admission = model::Admission {
        shed_at: Level::Overloaded,
        maintenance: false,
        staff: Vec::new(),
        trusted: Vec::new(),
        allow: Vec::new(),
        deny: Vec::new(),
        deny_file: None,
        deny_list: Arc::default(),
        deny_wide_networks: false,
        per_address: PerAddress::default(),
        arrivals: None,
        handshakes: None,
        slots: SlotLimits::default(),
        dry_run: false,
        ban: None,
    };
    Policy::new(&"game".parse().unwrap(), &admission)
}

fn networks(list: &[&str]) -> Networks {
    Networks::new(&list.iter().map(|text| text.parse::<IpNet>().unwrap()).collect::<Vec<_>>())
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ask(door: &Arc<Admission>, policy: &Policy, memory: &Memory, client: &str, now: Instant) -> Result<Permit, Refusal> {
    door.admit((policy, memory), address(client), None, || now, |_| panic!("no dry run"))
}

/// Fills the house with so many.
fn fill(door: &Arc<Admission>, count: usize) -> Vec<Permit> {
    let memory = Memory::default();
    (0..count).map(|_| door.hold(&memory).unwrap()).collect()
}

#[test]
fn a_ban_by_hand_is_before_everything_else() {
    let (door, memory, now) = (house(0), Memory::default(), Instant::now());
    let lenient =
        Policy { dry_run: true, trusted: networks(&["0.0.0.0/0"]), deny: networks(&["198.51.100.1/32"]), ..everyone() };
    let asked = |client: &str| door.admit((&lenient, &memory), address(client), None, || now, |_| {}).map(drop);
    assert_eq!(asked(STRANGER), Err(Refusal::AtCapacity));
    door.set_banned(networks(&["198.51.100.0/24"]));
    assert_eq!((asked(STRANGER), asked("::ffff:198.51.100.1")), (Err(Refusal::Denied), Err(Refusal::Denied)));
    assert_eq!(asked(PLAYER), Err(Refusal::AtCapacity));
    door.set_banned(Networks::default());
    assert_eq!(asked(STRANGER), Err(Refusal::AtCapacity));
}

#[test]
fn a_place_is_free_again_when_its_permit_goes() {
    let (door, memory, now) = (house(2), Memory::default(), Instant::now());
    let first = ask(&door, &everyone(), &memory, PLAYER, now).unwrap();
    let _second = ask(&door, &everyone(), &memory, PLAYER, now).unwrap();
    assert_eq!(ask(&door, &everyone(), &memory, PLAYER, now).unwrap_err(), Refusal::AtCapacity);
    drop(first);
    assert_eq!(door.active(), 1);
    assert!(ask(&door, &everyone(), &memory, PLAYER, now).is_ok());
}

#[test]
fn who_holds_a_place_already_is_shed_like_anybody() {
    let (door, memory, now) = (house(100), Memory::default(), Instant::now());
    let mut held = fill(&door, 100);
    let last = held.pop();
    let asked = door.admit((&everyone(), &memory), address(PLAYER), last, || now, |_| panic!("no dry run"));
    assert_eq!(asked.unwrap_err(), Refusal::Shed);
    assert_eq!(door.active(), 99, "and gives it up");
}

#[test]
fn a_smaller_house_lets_nobody_in_until_enough_have_left() {
    let (door, memory, now) = (house(3), Memory::default(), Instant::now());
    let mut inside = fill(&door, 3);
    door.set_capacity((1, 0), Shares::default(), reconnect::Rule::default());
    assert_eq!(door.active(), 3);
    inside.truncate(1);
    assert_eq!(ask(&door, &everyone(), &memory, PLAYER, now).unwrap_err(), Refusal::AtCapacity);
    inside.clear();
    assert!(ask(&door, &everyone(), &memory, PLAYER, now).is_ok());
}

#[test]
fn threads_never_get_in_over_the_capacity() {
    let (door, memory, now) = (house(10), Memory::default(), Instant::now());
    door.set_capacity((10, 0), Shares { overloaded: Share::ALL, ..Shares::default() }, reconnect::Rule::default());
    let admitted: usize = std::thread::scope(|scope| {
        let come = || (0..1000).filter_map(|_| ask(&door, &everyone(), &memory, PLAYER, now).ok()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(come)).collect();
        let held: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        held.iter().map(Vec::len).sum()
    });
    assert_eq!((admitted, door.active(), door.level()), (10, 0, Level::Full));
}

#[test]
fn newcomers_are_shed_from_a_listeners_level_and_those_who_just_played_one_longer() {
    let (door, memory, now) = (house(100), Memory::default(), Instant::now());
    door.note_end(&memory, address(PLAYER), Duration::from_secs(10), now);
    let at = |shed_at, client| {
        let verdict = ask(&door, &Policy { shed_at, ..everyone() }, &memory, client, now);
        verdict.map(drop)
    };
    let listeners = [Level::Degraded, Level::Critical, Level::Overloaded];
    let mut inside = Vec::new();
    for (count, level, newcomers, players) in [
        (69, Level::Full, [true, true, true], true),
        (70, Level::Degraded, [false, true, true], true),
        (85, Level::Critical, [false, false, true], true),
        (95, Level::Overloaded, [false, false, false], false),
    ] {
        inside.extend(fill(&door, count - inside.len()));
        assert_eq!(door.level(), level);
        for (shed_at, comes_in) in listeners.into_iter().zip(newcomers) {
            assert_eq!(
                at(shed_at, STRANGER),
                if comes_in { Ok(()) } else { Err(Refusal::Shed) },
                "{level:?} {shed_at:?}"
            );
            assert_eq!(at(shed_at, PLAYER), if players { Ok(()) } else { Err(Refusal::Shed) }, "{level:?} {shed_at:?}");
        }
    }
    // On the way down each level is left later than it was entered.
    for (count, level) in [
        (91, Level::Overloaded),
        (89, Level::Critical),
        (81, Level::Critical),
        (79, Level::Degraded),
        (64, Level::Full),
    ] {
        inside.truncate(count);
        assert_eq!(door.level(), level, "{count}");
    }
}

#[test]
fn only_who_played_long_enough_and_lately_has_just_played() {
    let (door, memory, now) = (house(10), Memory::default(), Instant::now());
    let rule = reconnect::Rule::default();
    door.note_end(&memory, address(STRANGER), Duration::from_millis(9999), now);
    door.note_end(&memory, address("2001:db8:1:2::1"), Duration::from_secs(10), now);
    assert!(!memory.has_just_played(address(STRANGER).into(), now, rule));
    assert!(memory.has_just_played(address("2001:db8:1:2:ffff::9").into(), now, rule), "the same household");
    assert!(!memory.has_just_played(address("2001:db8:1:2::1").into(), now + rule.window, rule));
}

#[test]
fn deny_wins_and_a_list_of_the_allowed_denies_the_rest() {
    let (door, memory, now) = (house(10), Memory::default(), Instant::now());
    let policy = Policy { allow: networks(&["192.0.2.0/24"]), deny: networks(&["192.0.2.128/25"]), ..everyone() };
    assert!(ask(&door, &policy, &memory, PLAYER, now).is_ok());
    for denied in [STRANGER, "192.0.2.200", "::ffff:192.0.2.200"] {
        assert_eq!(ask(&door, &policy, &memory, denied, now).unwrap_err(), Refusal::Denied, "{denied}");
    }
}

#[test]
fn maintenance_is_for_staff_and_a_denied_one_is_no_staff() {
    let (door, memory, now) = (house(10), Memory::default(), Instant::now());
    let policy = Policy { maintenance: true, staff: networks(&["192.0.2.0/24"]), ..everyone() };
    assert!(ask(&door, &policy, &memory, PLAYER, now).is_ok());
    assert_eq!(ask(&door, &policy, &memory, STRANGER, now).unwrap_err(), Refusal::Maintenance);
    let policy = Policy { deny: networks(&[&format!("{PLAYER}/32")]), ..policy };
    assert_eq!(ask(&door, &policy, &memory, PLAYER, now).unwrap_err(), Refusal::Denied);
}

fn per_address(max_connections: Option<u32>, rate: Option<&str>) -> Policy {
    let rate = rate.map(|rate| Limit { rate: rate.parse().unwrap(), burst: 2 });
    Policy { per_address: PerAddress { max_connections, rate, ..PerAddress::default() }, ..everyone() }
}

#[test]
fn an_address_has_its_rate_and_its_number_and_others_have_theirs() {
    let (door, memory, now) = (house(100), Memory::default(), Instant::now());
    let policy = per_address(Some(3), Some("10/s"));
    let come = |client, millis| ask(&door, &policy, &memory, client, now + Duration::from_millis(millis));
    let mut held = vec![come(PLAYER, 0).unwrap(), come(PLAYER, 0).unwrap()];
    assert_eq!(come(PLAYER, 0).unwrap_err(), Refusal::RateLimited);
    held.push(come(PLAYER, 100).unwrap());
    assert_eq!(come(PLAYER, 1000).unwrap_err(), Refusal::PerIpLimit);
    assert!(come(STRANGER, 0).is_ok());
    held.pop();
    assert!(come(PLAYER, 2000).is_ok(), "those who leave make room, and nobody was cut");
    let trusting = Policy { trusted: networks(&["192.0.2.0/24"]), ..policy.clone() };
    let many: Vec<_> = (0..20).map(|_| ask(&door, &trusting, &memory, PLAYER, now).unwrap()).collect();
    assert_eq!(many.len(), 20);
}

#[test]
fn who_is_refused_for_another_reason_takes_no_seat() {
    let (door, memory, now) = (house(1), Memory::default(), Instant::now());
    let _full = fill(&door, 1);
    for _ in 0..5 {
        let refusal = ask(&door, &per_address(Some(1), None), &memory, PLAYER, now).unwrap_err();
        assert_eq!(refusal, Refusal::AtCapacity);
    }
    assert_eq!(memory.addresses.live(), 0);
}

#[test]
fn who_is_refused_too_often_is_banned_but_never_for_a_full_house() {
    let (door, memory, now) = (house(1), Memory::default(), Instant::now());
    let ban = ban::Rule { after: 3, within: Duration::from_secs(60), lasts: Duration::from_secs(600) };
    let policy = Policy { ban: Some(ban), ..per_address(None, Some("1/h")) };
    let come =
        |policy, client, seconds| ask(&door, policy, &memory, client, now + Duration::from_secs(seconds)).map(drop);
    for expected in [Ok(()), Ok(()), Err(Refusal::RateLimited), Err(Refusal::RateLimited), Err(Refusal::RateLimited)] {
        assert_eq!(come(&policy, PLAYER, 0), expected);
    }
    assert_eq!(come(&policy, PLAYER, 1), Err(Refusal::Denied), "banned");
    assert!(come(&policy, STRANGER, 1).is_ok());
    let lenient = Policy { ban: Some(ban), ..everyone() };
    assert_eq!((come(&lenient, PLAYER, 599), come(&lenient, PLAYER, 600)), (Err(Refusal::Denied), Ok(())));
    let without = everyone();
    assert!(come(&without, PLAYER, 1).is_ok(), "the ban has left the file");

    let _full = fill(&door, 1);
    for _ in 0..10 {
        assert_eq!(come(&lenient, STRANGER, 2), Err(Refusal::AtCapacity));
    }
    assert_eq!(memory.bans_total_and_active(now + Duration::from_secs(2)), (1, 1));
}

#[test]
fn a_dry_run_tells_and_lets_in() {
    let (door, memory, now) = (house(1), Memory::default(), Instant::now());
    let policy = Policy {
        dry_run: true,
        maintenance: true,
        deny: networks(&["0.0.0.0/0"]),
        ..per_address(Some(1), Some("1/h"))
    };
    let told = RefCell::new(Vec::new());
    let come =
        || door.admit((&policy, &memory), address(PLAYER), None, || now, |refusal| told.borrow_mut().push(refusal));
    drop(come().unwrap());
    drop(come().unwrap());
    let _held = come().unwrap();
    let (denied, limited) = (Refusal::Denied, Refusal::RateLimited);
    let closed = Refusal::Maintenance;
    assert_eq!(*told.borrow(), [denied, closed, denied, closed, denied, closed, limited]);
    assert_eq!(come().unwrap_err(), Refusal::AtCapacity, "what is full is full");
    assert_eq!(told.borrow().last(), Some(&Refusal::PerIpLimit));
}

#[test]
fn a_ban_by_rule_does_not_hold_for_trusted_clients() {
    let (door, memory, now) = (house(10), Memory::default(), Instant::now());
    let rule = ban::Rule { after: 1, within: Duration::from_secs(60), lasts: Duration::from_secs(600) };
    let per_address = PerAddress { max_connections: Some(0), prefix_v4: 24, ..PerAddress::default() };
    let policy = Policy { ban: Some(rule), per_address, trusted: networks(&["192.0.2.7/32"]), ..everyone() };
    assert_eq!(ask(&door, &policy, &memory, PLAYER, now).unwrap_err(), Refusal::PerIpLimit);
    assert_eq!(ask(&door, &policy, &memory, PLAYER, now).unwrap_err(), Refusal::Denied, "the whole /24 is banned");
    assert!(ask(&door, &policy, &memory, "192.0.2.7", now).is_ok(), "but for one of it that is trusted");
    let denied = Policy { deny: networks(&["192.0.2.7/32"]), ..policy };
    assert_eq!(ask(&door, &denied, &memory, "192.0.2.7", now).unwrap_err(), Refusal::Denied, "deny wins");
}

/// A policy and the memory of a listener with limits of its own.
fn limited(door: &Arc<Admission>, max_connections: Option<usize>, reserved: usize) -> (Policy, Memory) {
    let (slots, memory) = (SlotLimits { max_connections, reserved }, Memory::default());
    memory.slots(door).set_limits(slots);
    let (staff, trusted) = (networks(&["192.0.2.0/24"]), networks(&["2001:db8::/32"]));
    (Policy { slots, staff, trusted, ..everyone() }, memory)
}

#[test]
fn a_listener_at_its_limit_leaves_the_others_their_slots() {
    let (door, now) = (house(100), Instant::now());
    let ((lobby, of_lobby), (game, of_game)) = (limited(&door, Some(30), 0), limited(&door, None, 0));
    let flood: Vec<_> = (0..1000).map(|_| ask(&door, &lobby, &of_lobby, STRANGER, now)).collect();
    assert_eq!(flood.iter().filter(|one| one.is_ok()).count(), 30);
    assert!(flood[30..].iter().all(|one| *one.as_ref().unwrap_err() == Refusal::AtCapacity));
    assert_eq!((door.active(), door.level(), of_lobby.live_sessions()), (30, Level::Full, 30));
    assert!(ask(&door, &game, &of_game, STRANGER, now).is_ok());
    of_lobby.slots(&door).set_limits(SlotLimits { max_connections: Some(31), reserved: 0 });
    assert!(ask(&door, &lobby, &of_lobby, STRANGER, now).is_ok(), "a reload raises it");
    drop(flood);
    assert_eq!((door.active(), of_lobby.live_sessions()), (0, 0));
}

#[test]
fn reserved_slots_are_for_staff_and_trusted_clients_however_full_it_is() {
    let (door, now) = (house(100), Instant::now());
    let ((game, of_game), (lobby, of_lobby)) = (limited(&door, None, 5), limited(&door, None, 0));
    let marks = Shares { overloaded: Share::ALL, ..Shares::default() };
    door.set_capacity((100, 5), marks, reconnect::Rule::default());
    let mut flood: Vec<_> = (0..200).filter_map(|_| ask(&door, &lobby, &of_lobby, STRANGER, now).ok()).collect();
    assert_eq!((flood.len(), door.level(), door.capacity()), (95, Level::Overloaded, 100));
    assert_eq!(ask(&door, &game, &of_game, STRANGER, now).unwrap_err(), Refusal::AtCapacity);
    let mut staff: Vec<_> = (0..3).map(|_| ask(&door, &game, &of_game, PLAYER, now).unwrap()).collect();
    staff.extend((0..2).map(|_| ask(&door, &game, &of_game, "2001:db8::1", now).unwrap()));
    assert_eq!((door.active(), of_game.live_in_reserved()), (100, 5));
    assert_eq!(ask(&door, &game, &of_game, PLAYER, now).unwrap_err(), Refusal::AtCapacity, "as many as are reserved");
    assert_eq!(ask(&door, &lobby, &of_lobby, PLAYER, now).unwrap_err(), Refusal::AtCapacity, "another listener's");
    flood.truncate(10);
    assert!(ask(&door, &game, &of_game, PLAYER, now).is_ok(), "beyond them, like anybody");
    drop((flood, staff));
    assert_eq!((door.active(), door.level(), of_game.live_in_reserved()), (0, Level::Full, 0));
}

#[test]
fn a_listeners_reserved_slots_are_part_of_its_own_limit() {
    let (door, now) = (house(100), Instant::now());
    let (game, of_game) = limited(&door, Some(10), 2);
    door.set_capacity((100, 2), Shares::default(), reconnect::Rule::default());
    let held: Vec<_> = (0..20).filter_map(|_| ask(&door, &game, &of_game, STRANGER, now).ok()).collect();
    assert_eq!(held.len(), 8);
    let staff: Vec<_> = (0..5).filter_map(|_| ask(&door, &game, &of_game, PLAYER, now).ok()).collect();
    assert_eq!((staff.len(), of_game.live_sessions()), (2, 10));
}

#[test]
fn a_connection_that_is_found_to_be_of_staff_gives_its_common_slot_back() {
    let (door, now) = (house(2), Instant::now());
    let (game, of_game) = limited(&door, None, 1);
    door.set_capacity((2, 1), Shares { overloaded: Share::ALL, ..Shares::default() }, reconnect::Rule::default());
    let held = door.hold(&of_game).unwrap();
    let admitted = door.admit((&game, &of_game), address(PLAYER), Some(held), || now, |_| panic!("no dry run"));
    assert_eq!((door.active(), of_game.live_in_reserved()), (1, 1));
    assert!(door.hold(&of_game).is_ok());
    drop(admitted);
    assert_eq!(door.active(), 0);
}

#[test]
fn reserved_slots_still_ask_lists_and_maintenance() {
    let (door, now) = (house(10), Instant::now());
    let (game, of_game) = limited(&door, None, 5);
    let closed = Policy { maintenance: true, ..game.clone() };
    assert_eq!(ask(&door, &closed, &of_game, "2001:db8::1", now).unwrap_err(), Refusal::Maintenance);
    let denied = Policy { deny: networks(&["192.0.2.0/24"]), ..game };
    assert_eq!(ask(&door, &denied, &of_game, PLAYER, now).unwrap_err(), Refusal::Denied);
    assert_eq!(of_game.live_in_reserved(), 0);
}
