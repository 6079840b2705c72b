//! How busy some CPUs were between two instants, by `/proc/stat`.

use std::fs;
use std::io;
use std::str::FromStr;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// The CPUs to count, as `taskset -c` names them: `0,1` or `0-1`.
#[derive(Debug, Clone)]
pub(crate) struct CpuSet(Vec<usize>);

/// The idle time of a set of CPUs up to an instant.
#[derive(Debug)]
pub(crate) struct Sample {
    at: Instant,
    /// Seconds in which the CPUs had nothing to do, or which the host of a virtual machine took for itself.
    not_busy: f64,
    /// CPU seconds that this program has had.
    own: f64,
}

impl CpuSet {
    /// Reads the clock and `/proc/stat`.
    pub(crate) fn sample(&self) -> io::Result<Sample> {
        let text = fs::read_to_string("/proc/stat")?;
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let own = own.tv_sec as f64 + own.tv_nsec as f64 / 1e9;
        Ok(Sample { at: Instant::now(), not_busy: self.not_busy(&text), own })
    }

    /// CPU seconds that were spent between two samples, over all CPUs of the set.
    ///
    /// Time that was not idle, rather than the ticks under `user`, `system` and the like: those are guessed by looking once a
    /// tick, which misses work that is done between ticks, while the kernel measures idle time exactly.
    pub(crate) fn busy(&self, from: &Sample, to: &Sample) -> f64 {
        let elapsed = to.at.duration_since(from.at).as_secs_f64();
        (elapsed * self.0.len() as f64 - (to.not_busy - from.not_busy)).max(0.0)
    }

    /// CPU seconds of this program between two samples.
    pub(crate) fn own(from: &Sample, to: &Sample) -> f64 {
        to.own - from.own
    }

    fn not_busy(&self, text: &str) -> f64 {
        let ticks: u64 = text
            .lines()
            .filter_map(idle_and_stolen)
            .filter(|(cpu, _)| self.0.contains(cpu))
            .map(|(_, ticks)| ticks)
            .sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }
}

/// A line `cpuN user nice system idle iowait irq softirq steal ...`, as N and idle + iowait + steal.
fn idle_and_stolen(line: &str) -> Option<(usize, u64)> {
    let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
    let cpu = words.next()?.parse().ok()?;
    let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    Some((cpu, ticks.get(3)? + ticks.get(4)? + ticks.get(7)?))
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |word: &str| word.parse::<usize>().map_err(|error| format!("{word:?}: {error}"));
        let mut cpus = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                Some((first, last)) => cpus.extend(number(first)?..=number(last)?),
                None => cpus.push(number(part)?),
            }
        }
        Ok(Self(cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 900 9 9 9 9 0 0\n\
                        cpu0 1 0 1 100 20 0 1 3 0 0\n\
                        cpu1 1 0 1 200 0 0 1 0 0 0\n\
                        cpu2 1 0 1 400 0 0 1 0 0 0\n\
                        intr 1 2 3\n";

    #[test]
    fn counts_idle_iowait_and_steal_of_the_chosen_cpus() {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let not_busy = |set: &str| (set.parse::<CpuSet>().unwrap().not_busy(STAT) * ticks).round();
        assert_eq!(not_busy("0"), 123.0);
        assert_eq!(not_busy("0,2"), 523.0);
        assert_eq!(not_busy("0-2"), 723.0);
    }

    #[test]
    fn a_set_is_a_list_of_numbers_and_ranges() {
        assert_eq!("0,2-4".parse::<CpuSet>().unwrap().0, [0, 2, 3, 4]);
        assert!("0,x".parse::<CpuSet>().is_err());
    }
}
