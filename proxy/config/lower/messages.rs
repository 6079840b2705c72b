//! `[listeners.NAME.messages]`.

use std::time::Duration;

use super::Problem;
use crate::config::model::{Language, Messages, Occasion};
use crate::config::raw::{Section, Setting, Value};
use crate::config::scalar::Words;

/// `None` where nothing is said.
pub(super) fn read(section: &mut Section<'_>) -> Option<Messages> {
    let language = section.setting("protocol", None, |value| value.word(&PROTOCOLS, &[]));
    let retry_after = section.setting("retry_after", RETRY_AFTER, Value::duration);
    let default = words(section, "default");
    let each = Occasion::ALL.map(|occasion| (occasion, words(section, occasion.as_str())));
    let is_silent = default.value.is_none() && each.iter().all(|(_, words)| words.value.is_none());
    for (place, words) in std::iter::once((None, &default)).chain(each.iter().map(|(at, words)| (Some(*at), words))) {
        if place != Some(Occasion::Drain) && words.value.as_ref().is_some_and(Words::counts_down) {
            let message = "{seconds_left} is known in drain only";
            section.add(Problem::error(&words.place, message).hint("elsewhere there is {retry_after}"));
        }
    }
    let Some(protocol) = language.value else {
        if !is_silent && !language.is_refused() {
            let message = r#"nothing is said while protocol is "none""#;
            section.add(Problem::warning(&language.place, message).hint(r#""text", or "minecraft""#));
        }
        return None;
    };
    if is_silent {
        let message = "there is nothing to say";
        section.add(Problem::warning(&section.place, message).hint(r#"for example default = "We are full.\n""#));
    }
    Some(Messages {
        language: protocol,
        retry_after: retry_after.value,
        words: each.map(|(_, words)| words.value.or_else(|| default.value.clone())),
    })
}

fn words(section: &mut Section<'_>, key: &'static str) -> Setting<Option<Words>> {
    section.setting(key, None, |value| value.parse(str::parse::<Words>).map(Some))
}

const PROTOCOLS: [(&str, Option<Language>); 3] =
    [("none", None), ("text", Some(Language::Text)), ("minecraft", Some(Language::Minecraft))];

/// As long as a full house takes to make some room.
const RETRY_AFTER: Duration = Duration::from_secs(30);
