//! Two draws, and the fewest players.

use super::*;

#[test]
fn the_better_one_of_two_is_taken() {
    let balancer = balancer(Choice::RandomTwo, &[1, 1]);
    let mut chance = chance(1);
    for _ in 0..1000 {
        let field = field(|place| if place == 0 { 7 } else { 6 }, everyone);
        assert_eq!(balancer.pick(&field, client(1), &mut chance), Some(1));
    }
}

#[test]
fn sessions_that_stay_are_spread_by_weight() {
    let weights = [1, 2, 3, 4];
    let (balancer, mut chance) = (balancer(Choice::RandomTwo, &weights), chance(2));
    let mut counts = vec![0_u32; 4];
    for _ in 0..PICKS {
        let place = balancer.pick(&field(|place| counts[place], everyone), client(1), &mut chance).unwrap();
        counts[place] += 1;
    }
    for (count, weight) in counts.iter().zip(weights) {
        let fair = f64::from(PICKS) * f64::from(weight) / 10.0;
        assert!((f64::from(*count) - fair).abs() < fair * 0.05, "{counts:?}");
    }
}

#[test]
fn the_only_one_left_is_always_found() {
    let weights = [vec![1; 500], vec![u16::MAX; 499], vec![1]].concat();
    let (balancer, mut chance) = (balancer(Choice::RandomTwo, &weights), chance(3));
    for _ in 0..100 {
        let last = idle(|place| place == weights.len() - 1);
        assert_eq!(balancer.pick(&last, client(1), &mut chance), Some(weights.len() - 1));
    }
}

#[test]
fn equals_are_drawn_by_weight() {
    let (balancer, mut chance) = (balancer(Choice::RandomTwo, &[1, 0, 3]), chance(4));
    let light = (0..PICKS).filter(|_| balancer.pick(&idle(everyone), client(1), &mut chance) == Some(0)).count();
    // The first one drawn wins between equals, unless the other's load, one session by three times the weight, is less.
    assert!(light < PICKS as usize / 10, "{light}");
}

struct Played {
    players: [Option<u32>; 3],
    sessions: [u32; 3],
}

impl Field for Played {
    fn sessions(&self, place: usize) -> u32 {
        self.sessions[place]
    }

    fn players(&self, place: usize) -> Option<u32> {
        self.players[place]
    }

    fn ramp(&self, _: usize) -> u32 {
        FULL_RAMP
    }

    fn is_eligible(&self, _: usize) -> bool {
        true
    }
}

#[test]
fn players_decide_and_sessions_where_they_are_not_known() {
    let cases = [
        ([Some(9), Some(3), Some(5)], [0, 9, 0], 1),
        ([Some(9), None, Some(5)], [0, 4, 0], 1),
        ([Some(9), None, Some(5)], [0, 6, 0], 2),
    ];
    for (players, sessions, expected) in cases {
        let balancer = balancer(Choice::FewestPlayers, &[1; 3]);
        assert_eq!(balancer.pick(&Played { players, sessions }, client(1), || 0), Some(expected), "{players:?}");
    }
}
