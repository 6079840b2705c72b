use proptest::prelude::*;

use super::duration::{self, DurationError, Shown};
use super::*;

#[test]
fn durations_are_read() {
    let cases = [
        ("0s", 0),
        ("250ms", 250),
        ("5s", 5_000),
        ("1.5s", 1_500),
        ("30m", 1_800_000),
        ("4h", 14_400_000),
        ("1h 30m", 5_400_000),
        ("1h30m", 5_400_000),
        ("365d", 31_536_000_000),
    ];
    for (text, millis) in cases {
        assert_eq!(duration::parse(text), Ok(std::time::Duration::from_millis(millis)), "{text:?}");
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    use DurationError::{Malformed, NoUnit, OutOfRange, TooFine};
    let cases = [
        ("", Malformed),
        ("0", NoUnit),
        ("5", NoUnit),
        ("1h 30", NoUnit),
        ("s", Malformed),
        ("-5s", Malformed),
        ("5 parsecs", Malformed),
        ("5S", Malformed),
        ("1M", Malformed),
        ("1w", Malformed),
        ("5 seconds", Malformed),
        ("off", Malformed),
        ("0.5ms", TooFine),
        ("366d", OutOfRange),
        ("99999999999999999999d", OutOfRange),
    ];
    for (text, error) in cases {
        assert_eq!(duration::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn durations_are_shown_as_the_file_writes_them() {
    let cases = [(0, "0s"), (250, "250ms"), (60_000, "1m"), (5_400_000, "1h 30m"), (86_400_001, "1d 1ms")];
    for (millis, text) in cases {
        assert_eq!(Shown(std::time::Duration::from_millis(millis)).to_string(), text);
    }
}

proptest! {
    #[test]
    fn a_shown_duration_is_read_back(millis in 0_u64..=31_536_000_000) {
        let duration = std::time::Duration::from_millis(millis);
        prop_assert_eq!(duration::parse(&Shown(duration).to_string()), Ok(duration));
    }

    #[test]
    fn a_shown_address_is_read_back(text in "([0-9]{1,3}\\.){3}[0-9]{1,3}:[0-9]{1,5}|[a-z-]{1,9}(\\.[a-z]{1,5}){0,2}:[0-9]{1,5}|srv:_[a-z]{1,5}\\._(tcp|UDP)(\\.[a-zA-Z]{1,5}){0,3}\\.?") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
    }
}

#[test]
fn names_are_checked() {
    assert_eq!("lobby-eu_2.a".parse::<Name>().unwrap().as_str(), "lobby-eu_2.a");
    assert!("a".repeat(64).parse::<Name>().is_ok());
    assert_eq!("".parse::<Name>(), Err(NameError::Empty));
    assert_eq!("a".repeat(65).parse::<Name>(), Err(NameError::TooLong));
    for text in ["a b", "a/b", "a\"b", "a\n", "ä"] {
        assert_eq!(text.parse::<Name>(), Err(NameError::Character), "{text:?}");
    }
}

#[test]
fn addresses_are_read() {
    let cases = [
        ("10.0.0.11:25565", "10.0.0.11:25565"),
        ("[2001:db8::1]:25565", "[2001:db8::1]:25565"),
        ("game.example.com:1", "game.example.com:1"),
        ("Game.Example.COM.:65535", "game.example.com:65535"),
        ("localhost:25565", "localhost:25565"),
        ("my_svc:80", "my_svc:80"),
        ("srv:_game._tcp.example.com", "srv:_game._tcp.example.com"),
        ("srv:_Game._TCP.Example.COM.", "srv:_game._tcp.example.com"),
    ];
    for (text, shown) in cases {
        assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(shown.into()), "{text:?}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    use AddressError::{Brackets, Host, NoPort, Port, PortZero, Service};
    let cases = [
        ("", NoPort),
        ("10.0.0.11", NoPort),
        ("10.0.0.11:", Port),
        ("10.0.0.11:http", Port),
        ("10.0.0.11:+80", Port),
        ("10.0.0.11:65536", Port),
        ("10.0.0.11:0", PortZero),
        ("game.example.com:0", PortZero),
        ("[::1]:0", PortZero),
        (":25565", Host),
        ("10.0.0.300:25565", Host),
        ("10.0.0:25565", Host),
        ("a..b:1", Host),
        ("game server:1", Host),
        ("2001:db8::1:25565", Brackets),
        ("[2001:db8::1]", Brackets),
        ("tcp://10.0.0.11:25565", Brackets),
        ("srv:", Service),
        ("srv:_game._tcp.example.com:25565", Service),
        ("srv:game.example.com", Service),
        ("srv:_game._tcp", Service),
        ("srv:_game._tcp..com", Service),
        ("srv: _game._tcp.example.com", Service),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
    }
}

#[test]
fn bind_addresses_are_checked_and_the_hint_keeps_the_port() {
    assert!(bind_address("0.0.0.0:25565").is_ok());
    assert!(bind_address("[::]:0").is_ok());
    let cases = [
        (":25565", BindError::OnlyPort { port: 25565 }),
        ("25565", BindError::OnlyPort { port: 25565 }),
        ("localhost:25565", BindError::HostName { port: 25565 }),
        ("*:25565", BindError::NotAnAddress),
        ("0.0.0.0", BindError::NotAnAddress),
        ("", BindError::NotAnAddress),
    ];
    for (text, error) in cases {
        assert_eq!(bind_address(text), Err(error), "{text:?}");
    }
    assert!(BindError::OnlyPort { port: 7 }.hint().contains("\"0.0.0.0:7\""));
}

#[test]
fn the_hint_for_a_service_is_one() {
    let hint = "srv:_game._tcp.example.com:25565".parse::<Address>().unwrap_err().hint();
    assert_eq!(hint, r#"write "srv:_game._tcp.example.com", without a port"#);
    assert!("10.0.0.11".parse::<Address>().unwrap_err().hint().contains("10.0.0.11:25565"));
}
