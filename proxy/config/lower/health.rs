//! `[pools.NAME.health]`.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Problem;
use crate::config::model::{Check, Health, OnDown};
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::duration::Shown;
use crate::config::scalar::{Expect, bytes};
use crate::pool::health::Rule;

/// `None` if it is not written, or lacks something.
pub(super) fn read(section: &mut Section<'_>) -> Option<Health> {
    let kind = section.required("type", r#""tcp""#).and_then(|value| value.word(&KINDS, &[]));
    let keys = Keys::read(section);
    let interval = section.setting("interval", INTERVAL, |value| interval(value));
    let timeout = section.setting("timeout", TIMEOUT, Value::duration);
    let count = |value: &Value<'_>| value.whole(1..=COUNT_MAX).and_then(NonZeroU32::new);
    let rise = section.setting("rise", RISE, count);
    let fall = section.setting("fall", FALL, count);
    let port = section.setting("port", None, |value| {
        value.whole(1..=u16::MAX.into()).and_then(|port| u16::try_from(port).ok()).map(Some)
    });
    let on_down = section.setting("on_down", OnDown::Keep, |value| value.word(&ON_DOWN, &[]));
    if timeout.value > interval.value && !(timeout.is_refused() || interval.is_refused()) {
        let (longer, shorter) = (Shown(timeout.value), Shown(interval.value));
        let message =
            format!("with a timeout ({longer}) above the interval ({shorter}), checks of a dead backend come late");
        section.add(Problem::warning(timeout.blamed(&interval), message));
    }
    let kind = kind?;
    keys.refuse_those_of_others(section, kind);
    Some(Health {
        check: keys.check(section, kind)?,
        interval: interval.value,
        timeout: timeout.value,
        rule: Rule { rise: rise.value, fall: fall.value },
        port: port.value,
        introduced: None,
        on_down: on_down.value,
    })
}

/// Checks that come faster are traffic.
fn interval(value: &Value<'_>) -> Option<Duration> {
    let interval = value.duration()?;
    if interval < INTERVAL_MIN {
        value.report(Problem::error(&value.place, format!("the shortest interval is {}", Shown(INTERVAL_MIN))));
        return None;
    }
    Some(interval)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Exchange,
    Http,
    Minecraft,
}

/// What only one type of check knows.
struct Keys {
    send: Setting<Vec<u8>>,
    expect: Setting<Option<Expect>>,
    path: Setting<String>,
    status: Setting<Vec<u16>>,
}

impl Keys {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            send: section.setting("send", Vec::new(), |value| value.parse(bytes)),
            expect: section.setting("expect", None, |value| value.parse(Expect::parse).map(Some)),
            path: section.setting("path", "/".to_owned(), |value| path(value)),
            status: section.setting("status", vec![STATUS], |value| status(value)),
        }
    }

    fn check(self, section: &Section<'_>, kind: Kind) -> Option<Check> {
        Some(match kind {
            Kind::Tcp => Check::Tcp,
            Kind::Minecraft => Check::Minecraft,
            Kind::Http => Check::Http { path: self.path.value, status: self.status.value },
            Kind::Exchange => {
                if self.expect.value.is_none() && !self.expect.is_refused() {
                    section.missing("expect", r#""OK", or "hex:fe 01", or "regex:^players""#);
                }
                Check::Exchange { send: self.send.value, expect: self.expect.value? }
            }
        })
    }

    /// A key that has no effect here shows that something else is meant.
    fn refuse_those_of_others(&self, section: &Section<'_>, kind: Kind) {
        let keys = [
            ("send", Kind::Exchange, self.send.is_written(), &self.send.place),
            ("expect", Kind::Exchange, self.expect.is_written(), &self.expect.place),
            ("path", Kind::Http, self.path.is_written(), &self.path.place),
            ("status", Kind::Http, self.status.is_written(), &self.status.place),
        ];
        for (key, its_kind, is_written, place) in keys {
            if is_written && kind != its_kind {
                let message =
                    format!("{key:?} belongs to type = {:?}, and the type here is {:?}", word(its_kind), word(kind));
                section.add(Problem::error(place, message));
            }
        }
    }
}

fn word(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| word)
}

/// What can stand in a request line as it is.
fn path(value: &Value<'_>) -> Option<String> {
    let path = value.any_text()?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(path.to_owned());
    }
    let problem =
        Problem::error(&value.place, "the path must begin with / and have neither spaces nor special characters");
    value.report(problem.hint(r#"for example "/healthz""#));
    None
}

/// One status code, or a list of them.
fn status(value: &Value<'_>) -> Option<Vec<u16>> {
    let code = |value: &Value<'_>| value.whole(100..=599).and_then(|code| u16::try_from(code).ok());
    if !value.is_list() {
        return code(value).map(|code| vec![code]);
    }
    let codes = value.each("[200, 204]", code)?;
    if codes.is_empty() {
        value.report(Problem::error(&value.place, "the list of status codes is empty"));
        return None;
    }
    Some(codes)
}

const KINDS: [(&str, Kind); 4] =
    [("tcp", Kind::Tcp), ("exchange", Kind::Exchange), ("http", Kind::Http), ("minecraft", Kind::Minecraft)];

const ON_DOWN: [(&str, OnDown); 2] = [("keep", OnDown::Keep), ("close", OnDown::Close)];

/// What a healthy server says.
const STATUS: u16 = 200;

/// A player who is refused tries again about as often.
const INTERVAL: Duration = Duration::from_secs(5);

/// Ten checks a second are enough for a test, and too many for a server.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// A server that takes longer for a status is too slow for a game.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One passing check may be luck.
const RISE: NonZeroU32 = NonZeroU32::new(2).expect("2 is not 0");

/// Two failed ones may be a pause of the garbage collector.
const FALL: NonZeroU32 = NonZeroU32::new(3).expect("3 is not 0");

/// A verdict that needs more will never come.
const COUNT_MAX: u32 = 1000;
