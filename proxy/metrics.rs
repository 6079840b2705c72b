//! The metrics' names, and their text form for Prometheus.
//!
//! Counts are not kept here but where they arise (listeners, pools, backends), as plain atomics: a scrape walks what
//! exists and writes it out with [`Exposition`]. So a removed backend's series go with it, and no session looks up a
//! metric by its labels.

use prometheus::core::{Collector, Metric as _};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, Histogram, HistogramOpts, TextEncoder};

pub mod names;

pub use names::Definition;

/// How samples of a metric are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends or what it belongs to is removed.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// Bounds of `portti_session_duration_seconds`: from a refused session to one of a whole evening.
const SESSION_SECONDS: &[f64] =
    &[0.01, 0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0];

/// Bounds of `portti_backend_connect_seconds`: from the same rack to the default connect timeout and a retry after it.
const CONNECT_SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Bounds of `portti_request_duration_seconds`: from an answer of the same rack to the default request timeout and beyond.
const REQUEST_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Bounds of `portti_queue_wait_seconds` and `portti_arrival_wait_seconds`: from what nobody notices to what nobody waits for.
const QUEUE_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// How long sessions of a listener last.
pub fn session_duration() -> Histogram {
    histogram(names::SESSION_DURATION, SESSION_SECONDS)
}

/// How long connects of a pool take.
pub fn connect_duration() -> Histogram {
    histogram(names::BACKEND_CONNECT, CONNECT_SECONDS)
}

/// How long sessions waited in a pool's queue.
pub fn queue_wait() -> Histogram {
    histogram(names::QUEUE_WAIT, QUEUE_SECONDS)
}

/// How long requests to a pool took.
pub fn request_duration() -> Histogram {
    histogram(names::REQUEST_DURATION, REQUEST_SECONDS)
}

/// How long clients waited for their turn at a listener.
pub fn arrival_wait() -> Histogram {
    histogram(names::ARRIVAL_WAIT, QUEUE_SECONDS)
}

fn histogram(definition: Definition, bounds: &[f64]) -> Histogram {
    let options = HistogramOpts::new(definition.name, definition.help).buckets(bounds.to_vec());
    Histogram::with_opts(options).expect("the bounds above are in order")
}

/// One answer to a scrape, in the making.
#[derive(Debug, Default)]
pub struct Exposition {
    families: Vec<MetricFamily>,
}

/// One metric of an exposition; takes its samples.
#[derive(Debug)]
pub struct Family<'a> {
    definition: Definition,
    metrics: &'a mut Vec<Metric>,
}

impl Exposition {
    /// Begins a metric. Without samples it is left out.
    pub fn family(&mut self, definition: Definition) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(definition.name.to_owned());
        family.set_help(definition.help.to_owned());
        family.set_field_type(match definition.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        self.families.push(family);
        let family = self.families.last_mut().expect("just pushed");
        Family { definition, metrics: family.mut_metric() }
    }

    /// The text form (Prometheus exposition format 0.0.4), with the metrics of the process behind the proxy's own.
    pub fn text(mut self) -> String {
        self.families.extend(ProcessCollector::for_self().collect());
        self.families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.families, &mut text).expect("no family is empty, and memory takes every byte");
        String::from_utf8(text).expect("names, labels and numbers are text")
    }

    /// What the answer's `Content-Type` says.
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;
}

impl Family<'_> {
    /// Adds a sample; `labels` are the values for the definition's labels, in its order.
    pub fn sample(&mut self, labels: &[&str], value: f64) -> &mut Self {
        let mut metric = self.labelled(labels);
        if self.definition.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
        self
    }

    /// Adds a sample that is a whole number. Exact below 2⁵³, as every number is for Prometheus.
    pub fn count(&mut self, labels: &[&str], value: u64) -> &mut Self {
        #[allow(clippy::cast_precision_loss, reason = "Prometheus knows only f64")]
        self.sample(labels, value as f64)
    }

    /// Adds the buckets, sum and count of a histogram.
    pub fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> &mut Self {
        let mut metric = self.labelled(labels);
        let mut told = histogram.metric().get_histogram().clone();
        // To the nanosecond: what lies behind it is what adding binary fractions leaves.
        told.set_sample_sum((told.get_sample_sum() * 1e9).round() / 1e9);
        metric.set_histogram(told);
        self.metrics.push(metric);
        self
    }

    fn labelled(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(values.len(), self.definition.labels.len(), "{}", self.definition.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(self.definition.labels.iter().zip(values).map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_with_their_labels_and_empty_families_left_out() {
        let mut exposition = Exposition::default();
        exposition.family(names::SESSIONS_ACTIVE).count(&["game"], 7);
        exposition.family(names::BACKEND_ELIGIBLE);
        let text = exposition.text();
        assert!(
            text.contains("# TYPE portti_sessions_active gauge\nportti_sessions_active{listener=\"game\"} 7\n"),
            "{text}"
        );
        assert!(!text.contains("portti_backend_eligible"), "{text}");
        assert!(text.contains("process_open_fds "), "{text}");
    }

    #[test]
    fn names_follow_the_conventions() {
        for definition in names::ALL {
            assert!(definition.name.starts_with("portti_"), "{}", definition.name);
            assert_eq!(definition.name.ends_with("_total"), definition.kind == Kind::Counter, "{}", definition.name);
        }
        let distinct: std::collections::BTreeSet<_> = names::ALL.iter().map(|definition| definition.name).collect();
        assert_eq!(distinct.len(), names::ALL.len());
    }

    #[test]
    fn every_metric_stands_in_the_docs() {
        let docs = include_str!("../docs/metrics.md");
        for definition in names::ALL {
            let row = docs.lines().find(|line| line.starts_with(&format!("| `{}", definition.name)));
            let row = row.unwrap_or_else(|| panic!("{} has no row in docs/metrics.md", definition.name));
            for label in definition.labels {
                assert!(row.contains(label), "{row} lacks the label {label}");
            }
        }
    }
}
