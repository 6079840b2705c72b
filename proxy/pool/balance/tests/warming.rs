//! Candidates that take on their weight slowly.

use super::*;

/// The first of three warms up.
struct Warming {
    sessions: Vec<u32>,
    ramp: u32,
    others_are_out: bool,
}

impl Field for Warming {
    fn sessions(&self, place: usize) -> u32 {
        self.sessions[place]
    }

    fn players(&self, place: usize) -> Option<u32> {
        Some(self.sessions[place])
    }

    fn ramp(&self, place: usize) -> u32 {
        if place == 0 { self.ramp } else { FULL_RAMP }
    }

    fn is_eligible(&self, place: usize) -> bool {
        place == 0 || !self.others_are_out
    }
}

/// How many of [`PICKS`] sessions that stay it gets.
fn taken(strategy: Choice, ramp: u32) -> u32 {
    let (balancer, mut chance) = (balancer(strategy, &[1; 3]), chance(1));
    let mut field = Warming { sessions: vec![0; 3], ramp, others_are_out: false };
    for number in 0..PICKS {
        let place = balancer.pick(&field, client(number), &mut chance).unwrap();
        field.sessions[place] += 1;
    }
    field.sessions[0]
}

#[test]
fn it_takes_a_part_of_its_share() {
    for strategy in Choice::ALL {
        for ramp in [1, 256, 512, FULL_RAMP] {
            let part = f64::from(ramp) / f64::from(FULL_RAMP);
            // Maglev's clients that it does not take go to the others; with the rest, so does the part of its weight.
            let fair = if strategy == Choice::Maglev || strategy == Choice::RoundRobin {
                part / 3.0
            } else {
                part / (2.0 + part)
            };
            let found = f64::from(taken(strategy, ramp)) / f64::from(PICKS);
            assert!((found - fair).abs() < 0.035, "{strategy:?} at {ramp}: {found} for {fair}");
        }
    }
}

#[test]
fn it_takes_all_when_it_is_alone() {
    for strategy in Choice::ALL {
        let balancer = balancer(strategy, &[1; 3]);
        let field = Warming { sessions: vec![0; 3], ramp: 1, others_are_out: true };
        for number in 0..100 {
            assert_eq!(balancer.pick(&field, client(number), chance(1)), Some(0), "{strategy:?}");
        }
    }
}

#[test]
fn a_client_that_maglev_gave_it_stays_with_it() {
    let balancer = balancer(Choice::Maglev, &[1; 3]);
    let at = |ramp, number| {
        balancer.pick(&Warming { sessions: vec![0; 3], ramp, others_are_out: false }, client(number), || 0)
    };
    let mut seen = 0;
    for number in 0..5000 {
        if at(300, number) == Some(0) {
            seen += 1;
            assert!((301..=FULL_RAMP).step_by(100).all(|ramp| at(ramp, number) == Some(0)));
        }
    }
    assert!(seen > 300, "{seen}");
}
