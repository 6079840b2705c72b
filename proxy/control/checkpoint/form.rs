//! The form of the state file: JSON with a version, and a checksum of the rest. Pure.

use std::fmt::{self, Display};
use std::hash::Hasher as _;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use siphasher::sip::SipHasher13;

use crate::config::scalar::Name;
use crate::net::client::ClientKey;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Backends for which something was set by hand.
    pub(super) backends: Vec<Backend>,
    /// Listeners for which something was.
    pub(super) listeners: Vec<Listener>,
    /// Networks that are banned by hand.
    pub(super) bans: Vec<Ban>,
    /// Circuits that are not closed.
    pub(super) circuits: Vec<Circuit>,
    /// Backends that are down, by their health checks.
    pub(super) down: Vec<Down>,
    /// Who was just playing.
    pub(super) reconnect: Vec<Reconnect>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub(super) pool: Text<Name>,
    /// As status calls it.
    pub(super) backend: String,
    pub(super) admin: String,
    pub(super) weight: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) listener: Text<Name>,
    pub(super) maintenance: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ban {
    pub(super) network: Text<IpNet>,
    pub(super) until: Option<Millis>,
    pub(super) why: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Circuit {
    pub(super) pool: Text<Name>,
    pub(super) backend: String,
    /// When it is half open.
    pub(super) until: Millis,
    /// How often it has opened.
    pub(super) openings: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Down {
    pub(super) pool: Text<Name>,
    pub(super) backend: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reconnect {
    pub(super) listener: Text<Name>,
    /// Clients, and when their sessions ended. The oldest comes first.
    pub(super) ended: Vec<(Text<ClientKey>, Millis)>,
    /// Clients known by a word, and from when to when they were served. The oldest comes first.
    pub(super) served: Vec<(Text<ClientKey>, Millis, Millis)>,
}

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Millis(pub(super) u64);

/// The first millisecond that RFC 3339 cannot say.
const YEAR_10000: u64 = 253_402_300_800_000;

/// What is written as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<T>(pub(super) T);

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Damage {
    /// It is not JSON of the expected outline: cut off, or something else.
    Broken(String),
    /// Another portti has written it, in a way of its own.
    Version(u64),
    /// Its parts do not fit together.
    Checksum,
}

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct File<'a> {
    version: u64,
    checksum: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

#[derive(Debug, Deserialize)]
struct Outline {
    version: u64,
}

/// What stands in the file.
pub(super) fn encode(kept: &Kept) -> Vec<u8> {
    let state = serde_json::to_string(kept).expect("it has text keys and no fallible parts");
    let checksum = checksum(&state);
    let mut file = format!("{{\"version\":{VERSION},\"checksum\":\"{checksum}\",\"state\":{state}}}").into_bytes();
    file.push(b'\n');
    file
}

/// What had to be left out of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Clients who were just playing, and keys of players.
    pub(super) clients: usize,
    /// Circuits that are not closed, and backends that are down.
    pub(super) backends: usize,
}

/// What stands in a file of so many bytes at most, and what of it had to be left out: first clients, those who left first before the
/// others; then what health checks and circuits find out again.
///
/// # Errors
/// What was set by hand alone is too large. That is not for this function to choose from.
pub(super) fn encode_within(kept: &Kept, most: usize) -> Result<(Vec<u8>, LeftOut), TooLarge> {
    let whole = encode(kept);
    if whole.len() <= most {
        return Ok((whole, LeftOut::default()));
    }
    let (mut smaller, mut left_out) = (kept.clone(), LeftOut::default());
    loop {
        let clients = smaller.drop_older_half();
        left_out.clients += clients;
        if clients == 0 {
            let backends = smaller.circuits.len() + smaller.down.len();
            if backends == 0 {
                return Err(TooLarge { bytes: encode(&smaller).len(), most });
            }
            left_out.backends = backends;
            (smaller.circuits, smaller.down) = (Vec::new(), Vec::new());
        }
        let file = encode(&smaller);
        if file.len() <= most {
            return Ok((file, left_out));
        }
    }
}

/// More was set by hand than a file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    bytes: usize,
    most: usize,
}

impl Kept {
    /// Drops the older half of each list of clients; returns how many clients that are.
    fn drop_older_half(&mut self) -> usize {
        let mut dropped = 0;
        for Reconnect { ended, served, .. } in &mut self.reconnect {
            let (older_ended, older_served) = (ended.len().div_ceil(2), served.len().div_ceil(2));
            ended.drain(..older_ended);
            served.drain(..older_served);
            dropped += older_ended + older_served;
        }
        self.reconnect.retain(|listener| !(listener.ended.is_empty() && listener.served.is_empty()));
        dropped
    }
}

/// What a file holds.
///
/// # Errors
/// It is of no use, and why.
pub(super) fn decode(file: &[u8]) -> Result<Kept, Damage> {
    let broken = |error: serde_json::Error| Damage::Broken(error.to_string());
    let Outline { version } = serde_json::from_slice(file).map_err(broken)?;
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let file: File<'_> = serde_json::from_slice(file).map_err(broken)?;
    if file.checksum != checksum(file.state.get()) {
        return Err(Damage::Checksum);
    }
    serde_json::from_str(file.state.get()).map_err(broken)
}

/// SipHash-1-3 with a key of zeros: against disks and hasty hands, not against those who mean it.
fn checksum(state: &str) -> String {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(state.as_bytes());
    format!("{:016x}", hasher.finish())
}

impl Millis {
    /// The moment, to the millisecond.
    pub(super) fn of(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time of day; `None` if it is beyond the year 9999, and so in no words that status has for it.
    pub(super) fn time(self) -> Option<SystemTime> {
        (self.0 < YEAR_10000).then(|| UNIX_EPOCH + Duration::from_millis(self.0))
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, most } = self;
        write!(
            f,
            "what was set by hand takes {bytes} bytes, and a state file may have {most}: lift bans, or use deny_file"
        )
    }
}

impl Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "it is damaged: {error}"),
            Self::Version(version) => write!(f, "it is of version {version}, and this portti knows only {VERSION}"),
            Self::Checksum => f.write_str("it is damaged: its checksum is wrong"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = Text<Name>> {
        "[a-z][a-z0-9_-]{0,8}".prop_map(|name| Text(name.parse().unwrap()))
    }

    fn millis() -> impl Strategy<Value = Millis> {
        any::<u64>().prop_map(Millis)
    }

    fn client() -> impl Strategy<Value = Text<ClientKey>> {
        let key = prop_oneof![any::<IpAddr>().prop_map(ClientKey::of), any::<u64>().prop_map(ClientKey::Word),];
        key.prop_map(Text)
    }

    fn network() -> impl Strategy<Value = Text<IpNet>> {
        (any::<IpAddr>(), 0..=32_u8).prop_map(|(address, length)| Text(IpNet::new(address, length).unwrap().trunc()))
    }

    fn some<T: fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
        prop::collection::vec(of, 0..4)
    }

    fn kept() -> impl Strategy<Value = Kept> {
        let backend = (name(), ".{0,30}", "[a-z]{0,8}", any::<Option<u16>>())
            .prop_map(|(pool, backend, admin, weight)| Backend { pool, backend, admin, weight });
        let listener = (name(), any::<bool>()).prop_map(|(listener, maintenance)| Listener { listener, maintenance });
        let ban = (network(), prop::option::of(millis()), any::<Option<String>>())
            .prop_map(|(network, until, why)| Ban { network, until, why });
        let circuit = (name(), ".{0,30}", millis(), any::<u32>())
            .prop_map(|(pool, backend, until, openings)| Circuit { pool, backend, until, openings });
        let down = (name(), ".{0,30}").prop_map(|(pool, backend)| Down { pool, backend });
        let reconnect = (name(), some((client(), millis())), some((client(), millis(), millis())))
            .prop_map(|(listener, ended, served)| Reconnect { listener, ended, served });
        (some(backend), some(listener), some(ban), some(circuit), some(down), some(reconnect)).prop_map(
            |(backends, listeners, bans, circuits, down, reconnect)| Kept {
                backends,
                listeners,
                bans,
                circuits,
                down,
                reconnect,
            },
        )
    }

    fn example() -> Kept {
        Kept {
            backends: vec![Backend {
                pool: Text("game".parse().unwrap()),
                backend: "127.0.0.1:1".into(),
                admin: "drain".into(),
                weight: Some(3),
            }],
            bans: vec![Ban { network: Text("10.0.0.0/8".parse().unwrap()), until: Some(Millis(7)), why: None }],
            reconnect: vec![Reconnect {
                listener: Text("game".parse().unwrap()),
                ended: vec![(Text(ClientKey::of(Ipv4Addr::LOCALHOST.into())), Millis(9))],
                served: Vec::new(),
            }],
            ..Kept::default()
        }
    }

    #[test]
    fn the_form_stays_what_it_is() {
        let expected = concat!(
            r#"{"version":1,"checksum":"CHECKSUM","state":{"#,
            r#""backends":[{"pool":"game","backend":"127.0.0.1:1","admin":"drain","weight":3}],"listeners":[],"#,
            r#""bans":[{"network":"10.0.0.0/8","until":7,"why":null}],"circuits":[],"down":[],"#,
            r#""reconnect":[{"listener":"game","ended":[["127.0.0.1",9]],"served":[]}]}}"#,
            "\n"
        );
        let written = String::from_utf8(encode(&example())).unwrap();
        let (_, rest) = written.split_once("\"checksum\":\"").unwrap();
        assert_eq!(written, expected.replace("CHECKSUM", &rest[..16]), "files of the last version could not be read");
    }

    #[test]
    fn what_is_of_no_use_is_told_apart() {
        let good = String::from_utf8(encode(&example())).unwrap();
        let broken = |text: &str| matches!(decode(text.as_bytes()), Err(Damage::Broken(_)));
        for text in ["", " ", "{", "null", "[]", "{}", "\0\0\0\0", r#"{"version":"1"}"#, r#"{"version":1}"#, "xml"] {
            assert!(broken(text), "{text:?}: {:?}", decode(text.as_bytes()));
        }
        for cut in 0..good.len() - 2 {
            assert!(broken(&good[..cut]), "cut off at {cut}");
        }
        assert!(broken(&format!("{good}x")), "something behind it");
        assert_eq!(decode(good.replace(r#""version":1"#, r#""version":2"#).as_bytes()), Err(Damage::Version(2)));
        assert_eq!(decode(br#"{"version":7,"all":"else"}"#), Err(Damage::Version(7)));
        assert_eq!(decode(good.replace("drain", "ready").as_bytes()), Err(Damage::Checksum));
        // A form that this version does not know, under a checksum that is right.
        let other = r#"{"backends":[],"more":1}"#;
        let file = format!(r#"{{"version":1,"checksum":"{}","state":{other}}}"#, checksum(other));
        assert!(broken(&file));
    }

    #[test]
    fn a_file_is_never_larger_than_what_is_read_back() {
        let listener = |name: &str| Reconnect {
            listener: Text(name.parse().unwrap()),
            ended: (0..1000).map(|n| (Text(ClientKey::of(Ipv4Addr::from(n).into())), Millis(n.into()))).collect(),
            served: (0..1000).map(|n| (Text(ClientKey::Word(n)), Millis(0), Millis(n))).collect(),
        };
        let down = |n: usize| Down { pool: Text("game".parse().unwrap()), backend: format!("10.0.0.1:{n}") };
        let kept = Kept {
            reconnect: vec![listener("game"), listener("lobby")],
            down: (0..100).map(down).collect(),
            ..example()
        };
        let whole = encode(&kept);
        assert_eq!(encode_within(&kept, whole.len()), Ok((whole.clone(), LeftOut::default())));

        let (file, left_out) = encode_within(&kept, whole.len() - 1).unwrap();
        assert!(file.len() < whole.len() && left_out == LeftOut { clients: 2000, backends: 0 }, "{left_out:?}");
        let read = decode(&file).unwrap();
        assert_eq!((&read.bans, &read.backends, &read.down), (&kept.bans, &kept.backends, &kept.down));
        assert_eq!(read.reconnect[0].ended, kept.reconnect[0].ended[500..], "the older half is left out");

        let by_hand = Kept { reconnect: Vec::new(), down: Vec::new(), ..kept.clone() };
        let least = encode(&by_hand).len();
        let (file, left_out) = encode_within(&kept, least).unwrap();
        assert_eq!((decode(&file), left_out), (Ok(by_hand), LeftOut { clients: 4000, backends: 100 }));
        assert_eq!(encode_within(&kept, least - 1), Err(TooLarge { bytes: least, most: least - 1 }));
    }

    #[test]
    fn no_time_is_one_that_cannot_be_told() {
        assert_eq!((Millis(u64::MAX).time(), Millis(YEAR_10000).time()), (None, None));
        let last = Millis(YEAR_10000 - 1).time().unwrap();
        assert_eq!(crate::control::view::timestamp(last), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(kept in kept()) {
            prop_assert_eq!(decode(&encode(&kept)), Ok(kept));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn no_flipped_bit_is_taken_for_good(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let kept = example();
            let mut file = encode(&kept);
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
            // Spaces between its parts are all that may differ.
            if let Ok(read) = decode(&file) {
                prop_assert_eq!(read, kept);
            }
        }
    }
}
