//! `[tracing]`.

use super::Problem;
use crate::config::model::Tracing;
use crate::config::raw::{Section, Value};
use crate::config::scalar::{Endpoint, Share};

pub(super) fn read(section: &mut Section<'_>) -> Tracing {
    let otlp = section.setting("otlp", None, |value| {
        if value.is_off() { Some(None) } else { value.parse(str::parse::<Endpoint>).map(Some) }
    });
    if otlp.value.is_some() && !cfg!(feature = "otlp") {
        let hint = r#"write "off", or use a portti with it: "cargo build --release", without --no-default-features"#;
        section.add(Problem::error(&otlp.place, "this portti was built without the feature otlp").hint(hint));
    }
    let sample = section.setting("sample", Share::ALL, Value::share);
    Tracing { otlp: otlp.value, sample: sample.value }
}
