//! The better one of two drawn at random: nearly as even as the best of all, for the cost of two.

use super::Field;
use super::least_loaded::Load;

/// Draws two candidates by weight and takes the one with fewer sessions relative to its weight.
///
/// "The power of two choices" (Mitzenmacher, 2001). Many proxies that know only their own sessions do not all send the next
/// player to the same backend with it, as the least loaded of all would have them.
#[derive(Debug)]
pub(super) struct RandomTwo {
    /// Of each candidate: the sum of the weights up to and with its own.
    sums: Box<[u64]>,
}

/// Draws until two different eligible ones are found, before all are looked at one by one.
const DRAWS: u32 = 8;

impl RandomTwo {
    /// One candidate for each weight; those of weight 0 are never chosen.
    pub(super) fn new(weights: &[u16]) -> Self {
        let sums = weights.iter().scan(0, |sum, &weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// The better one of two that are eligible, or the only one; `None` if there is none.
    pub(super) fn pick(&self, field: &impl Field, mut chance: impl FnMut() -> u64) -> Option<usize> {
        let total = *self.sums.last().filter(|&&total| total > 0)?;
        let (mut one, mut refused) = (None, [usize::MAX; DRAWS as usize]);
        for draw in 0..DRAWS {
            let Some(place) = self.draw(chance(), total, one) else { break };
            if refused.contains(&place) {
                continue;
            }
            if !field.is_eligible(place) {
                refused[draw as usize] = place;
            } else if let Some(other) = one {
                return Some(self.better(field, other, place));
            } else {
                one = Some(place);
            }
        }
        one.or_else(|| self.any(field, scaled(chance(), total)))
    }

    /// A candidate drawn by weight from all but one; `None` if no other has a weight.
    fn draw(&self, drawn: u64, total: u64, but: Option<usize>) -> Option<usize> {
        let Some(but) = but else { return Some(self.at(scaled(drawn, total))) };
        let weight = u64::from(self.weight(but));
        let point = scaled(drawn, total - weight);
        // The line of weights without its part.
        let point = if point < self.sums[but] - weight { point } else { point + weight };
        (total > weight).then(|| self.at(point))
    }

    /// The candidate to which this point of the line of weights belongs.
    fn at(&self, point: u64) -> usize {
        self.sums.partition_point(|&sum| sum <= point)
    }

    fn better(&self, field: &impl Field, one: usize, other: usize) -> usize {
        let load = |place| Load::with_one_more(field.sessions(place), self.weight(place), field.ramp(place));
        if load(other).is_less_than(load(one)) { other } else { one }
    }

    /// The first one eligible from a point on, where chance found none: nearly all are out.
    fn any(&self, field: &impl Field, point: u64) -> Option<usize> {
        let start = self.at(point);
        (start..self.sums.len()).chain(0..start).find(|&place| self.weight(place) > 0 && field.is_eligible(place))
    }

    fn weight(&self, place: usize) -> u16 {
        let before = if place == 0 { 0 } else { self.sums[place - 1] };
        u16::try_from(self.sums[place] - before).unwrap_or(u16::MAX)
    }
}

/// A number evenly drawn from all, as one below `total` (Lemire, 2019, without the correction: the error is below 2^-32).
fn scaled(drawn: u64, total: u64) -> u64 {
    ((u128::from(drawn) * u128::from(total)) >> 64) as u64
}
