//! What a workload measures: a warm-up that is not counted, then an interval that is.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::cpu::{CpuSet, Sample};

/// Latencies above this count as this: far beyond any retransmission that a healthy run sees.
const LONGEST: Duration = Duration::from_secs(60);
/// Three significant digits: an error below 0.1 %.
const DIGITS: u8 = 3;

/// The interval to measure, and the CPUs to watch meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How long the work goes on before the interval begins.
    pub(crate) warm_up: Duration,
    /// How long the interval is.
    pub(crate) interval: Duration,
    /// Whose busy time is counted.
    pub(crate) cpus: CpuSet,
}

/// Counts what falls in the measured interval.
pub(crate) struct Recorder {
    plan: Plan,
    begin_at: Instant,
    end_at: Instant,
    /// Taken at the begin and the end of the interval.
    samples: Vec<Sample>,
    latencies: Histogram<u64>,
    ops: u64,
    bytes: u64,
    errors: u64,
    late: u64,
}

impl Recorder {
    /// Begins the warm-up.
    pub(crate) fn start(plan: &Plan) -> io::Result<Self> {
        let begin_at = Instant::now() + plan.warm_up;
        let latencies = Histogram::new_with_bounds(1, nanoseconds(LONGEST), DIGITS).map_err(io::Error::other)?;
        Ok(Self {
            plan: plan.clone(),
            begin_at,
            end_at: begin_at + plan.interval,
            samples: Vec::with_capacity(2),
            latencies,
            ops: 0,
            bytes: 0,
            errors: 0,
            late: 0,
        })
    }

    /// To be asked in each turn of the event loop: takes the samples when their time has come. False once the interval is over.
    pub(crate) fn goes_on(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        if now >= self.begin_at && self.samples.is_empty() {
            self.samples.push(self.plan.cpus.sample()?);
        }
        if now >= self.end_at && self.samples.len() == 1 {
            self.samples.push(self.plan.cpus.sample()?);
        }
        Ok(now < self.end_at)
    }

    /// Ends the interval now: for work that is over when it is done, not when a time has passed.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.end_at = Instant::now();
        self.samples.push(self.plan.cpus.sample()?);
        Ok(())
    }

    /// An operation that began (or should have begun) at `from` and ended at `to`. It counts in the interval that `within`,
    /// one of the two, falls in.
    pub(crate) fn op(&mut self, from: Instant, to: Instant, within: Instant, bytes: usize) {
        if self.covers(within) {
            self.latencies.saturating_record(nanoseconds(to.saturating_duration_since(from)).max(1));
            self.ops += 1;
            self.bytes += bytes as u64;
        }
    }

    /// Bytes that passed just now, where no single operation can be told.
    pub(crate) fn bytes(&mut self, count: usize) {
        if self.covers(Instant::now()) {
            self.bytes += count as u64;
        }
    }

    /// Something failed. Counted in the warm-up too: a contestant that fails then is not sound either.
    pub(crate) fn error(&mut self) {
        self.errors += 1;
    }

    /// The client itself was late to send what was due at `at`.
    pub(crate) fn late(&mut self, at: Instant) {
        self.late += u64::from(self.covers(at));
    }

    fn covers(&self, at: Instant) -> bool {
        at >= self.begin_at && at < self.end_at
    }

    /// What was measured. Latencies are in microseconds, and null where nothing has one.
    pub(crate) fn result(&self) -> Value {
        let seconds = self.end_at.duration_since(self.begin_at).as_secs_f64();
        let (busy, own) = match self.samples.as_slice() {
            [from, to] => (Some(self.plan.cpus.busy(from, to)), Some(CpuSet::own(from, to))),
            _ => (None, None),
        };
        json!({
            "ops": self.ops,
            "seconds": seconds,
            "ops_per_second": self.ops as f64 / seconds,
            "bytes": self.bytes,
            "bytes_per_second": self.bytes as f64 / seconds,
            "p50_us": self.quantile(0.5),
            "p99_us": self.quantile(0.99),
            "p999_us": self.quantile(0.999),
            "max_us": self.quantile(1.0),
            "errors": self.errors,
            "late": self.late,
            "busy_seconds": busy,
            "own_seconds": own,
        })
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        (!self.latencies.is_empty()).then(|| self.latencies.value_at_quantile(quantile) as f64 / 1e3)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        let cpus = "0".parse().unwrap();
        Recorder::start(&Plan { warm_up: Duration::from_secs(1), interval: Duration::from_secs(2), cpus }).unwrap()
    }

    #[test]
    fn only_what_falls_in_the_interval_is_counted() {
        let mut recorder = recorder();
        let begin = recorder.begin_at;
        for at in [begin - Duration::from_micros(1), begin, begin + Duration::from_secs(1), recorder.end_at] {
            recorder.op(at, at + Duration::from_millis(1), at, 64);
        }
        let result = recorder.result();
        assert_eq!((result["ops"].as_u64(), result["bytes"].as_u64()), (Some(2), Some(128)));
        assert_eq!(result["ops_per_second"].as_f64(), Some(1.0));
        assert!((result["p50_us"].as_f64().unwrap() - 1000.0).abs() < 1.0);
    }

    #[test]
    fn errors_count_in_the_warm_up_too_and_nothing_has_no_latency() {
        let mut recorder = recorder();
        recorder.error();
        let result = recorder.result();
        assert_eq!(result["errors"].as_u64(), Some(1));
        assert!(result["p99_us"].is_null() && result["busy_seconds"].is_null());
    }
}
