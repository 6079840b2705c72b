//! A place in a trace, as the header `traceparent` tells it (<https://www.w3.org/TR/trace-context/>). Pure but for chance.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

/// What all spans of a trace have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(NonZeroU128);

/// One span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(NonZeroU64);

/// A place in a trace. Displays as the value of `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whoever is told of it is to keep its own spans, too.
    pub is_sampled: bool,
}

/// A text that tells no place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The one flag that says anything; all others are to be sent as zero.
const SAMPLED: u8 = 1;

impl Context {
    /// The first place of a new trace.
    pub fn new(is_sampled: bool) -> Self {
        // Of so many one is as good as zero.
        let trace = NonZeroU128::new(fastrand::u128(..)).unwrap_or(NonZeroU128::MIN);
        Self { trace: TraceId(trace), span: SpanId::new(), is_sampled }
    }

    /// A new place in the same trace.
    pub fn next(self) -> Self {
        Self { span: SpanId::new(), ..self }
    }
}

impl SpanId {
    fn new() -> Self {
        Self(NonZeroU64::new(fastrand::u64(..)).unwrap_or(NonZeroU64::MIN))
    }
}

impl FromStr for Context {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.splitn(5, '-');
        let mut part = |length| parts.next().and_then(|part| hex(part, length)).ok_or(Malformed);
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // Later versions may have more behind it. 255 is none.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return Err(Malformed);
        }
        let span = u64::try_from(span).ok().and_then(NonZeroU64::new).ok_or(Malformed)?;
        Ok(Self {
            trace: TraceId(NonZeroU128::new(trace).ok_or(Malformed)?),
            span: SpanId(span),
            is_sampled: flags & u128::from(SAMPLED) != 0,
        })
    }
}

/// A number of so many digits, in lower case, as is asked for.
fn hex(text: &str, length: usize) -> Option<u128> {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == length && text.bytes().all(is_hex);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The standard's own.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(text: &str) -> Result<String, Malformed> {
        text.parse::<Context>().map(|context| context.to_string())
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        assert_eq!(read(EXAMPLE).as_deref(), Ok(EXAMPLE));
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert_eq!(read(&unsampled).as_ref(), Ok(&unsampled));
        assert!(!unsampled.parse::<Context>().unwrap().is_sampled);
    }

    #[test]
    fn of_flags_and_versions_that_are_not_known_only_what_is_known_counts() {
        let unsampled = EXAMPLE.replace("-01", "-00");
        for (from, to, expected) in [
            ("-01", "-03", EXAMPLE),
            ("-01", "-ff", EXAMPLE),
            ("-01", "-02", unsampled.as_str()),
            ("00-4", "cc-4", EXAMPLE),
            ("-01", "-01", EXAMPLE),
        ] {
            assert_eq!(read(&EXAMPLE.replace(from, to)).as_deref(), Ok(expected), "{to}");
        }
        assert_eq!(read(&format!("01{}-more-of-it", &EXAMPLE[2..])).as_deref(), Ok(EXAMPLE));
    }

    #[test]
    fn what_is_not_well_formed_is_no_place() {
        let with = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1);
        for text in [
            String::new(),
            with("00-", "ff-"),
            with("00-", "0-"),
            with("4bf9", "4BF9"),
            with("4bf9", "+bf9"),
            with("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            with("00f067aa0ba902b7", &"0".repeat(16)),
            with("-01", ""),
            with("-01", "-1"),
            with("-01", "-01-"),
            with("-01", "-01-more"),
            format!("01{}more", &EXAMPLE[2..]),
            format!(" {EXAMPLE}"),
            EXAMPLE.replace('-', "_"),
        ] {
            assert_eq!(read(&text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn the_next_place_is_in_the_same_trace() {
        let context: Context = EXAMPLE.parse().unwrap();
        let next = context.next();
        assert_eq!((next.trace, next.is_sampled), (context.trace, true));
        assert_ne!(next.span, context.span);
        assert_ne!(Context::new(true).trace, Context::new(true).trace);
    }

    proptest! {
        #[test]
        fn every_place_survives_the_way(trace in 1..=u128::MAX, span in 1..=u64::MAX, is_sampled in any::<bool>()) {
            let context = Context {
                trace: TraceId(NonZeroU128::new(trace).unwrap()),
                span: SpanId(NonZeroU64::new(span).unwrap()),
                is_sampled,
            };
            let text = context.to_string();
            prop_assert_eq!(text.len(), EXAMPLE.len());
            prop_assert_eq!(text.parse::<Context>(), Ok(context));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            if let Ok(context) = text.parse::<Context>() {
                prop_assert!(context.to_string().parse::<Context>() == Ok(context));
            }
        }

        #[test]
        fn no_slip_makes_it_panic(at in 0..EXAMPLE.len(), slip in any::<char>()) {
            let mut text = EXAMPLE.to_owned();
            text.replace_range(at..=at, &slip.to_string());
            if let Ok(context) = text.parse::<Context>() {
                // What is passed on is always of the version that is known.
                prop_assert!(context.to_string().starts_with("00-"));
            }
        }
    }
}
