//! Which backend a session gets: those of its pool it has not tried, then those of the pools behind it, then those that
//! failed it before, then whoever is there.

use std::sync::Arc;

use tokio::time::Instant;

use super::balance::Field;
use super::{Backend, Grant, Lease, Member, Pool};
use crate::net::client::ClientKey;

/// What a session brings to the choice.
#[derive(Debug)]
pub struct Request {
    client: ClientKey,
    /// Backends that it has tried in vain, the last one last.
    tried: Vec<Arc<Backend>>,
}

impl Request {
    /// A session that has tried nothing yet.
    pub fn new(client: ClientKey) -> Self {
        Self { client, tried: Vec::new() }
    }

    /// Notes a backend that failed the session.
    pub fn failed_by(&mut self, backend: &Arc<Backend>) {
        self.tried.retain(|earlier| !Arc::ptr_eq(earlier, backend));
        self.tried.push(Arc::clone(backend));
    }

    fn has_tried(&self, backend: &Arc<Backend>) -> bool {
        self.tried.iter().any(|tried| Arc::ptr_eq(tried, backend))
    }

    fn tried_last(&self, backend: &Arc<Backend>) -> bool {
        self.tried.last().is_some_and(|tried| Arc::ptr_eq(tried, backend))
    }
}

/// What a backend is to a session, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Untried,
    UntriedBackup,
    UntriedResting,
    Tried,
    TriedLast,
}

impl Standing {
    fn of(member: &Member, request: &Request) -> Self {
        if request.tried_last(&member.backend) {
            Self::TriedLast
        } else if request.has_tried(&member.backend) {
            Self::Tried
        } else if member.is_resting() {
            Self::UntriedResting
        } else if member.backup {
            Self::UntriedBackup
        } else {
            Self::Untried
        }
    }
}

impl Pool {
    /// Claims a backend for a session: one that it has not tried, a backup only if there is no other, and one whose weight
    /// is 0 only if there is no backup; failing that, one of the pools that stand in for this one; failing that, any but the one that failed it last; failing that, that one.
    /// `None` when no backend is eligible and has room.
    pub fn lease(self: &Arc<Self>, request: &Request, now: Instant) -> Option<Grant> {
        let first = [Standing::Untried, Standing::UntriedBackup, Standing::UntriedResting];
        let search = |standings: &[Standing]| {
            self.and_fallbacks().find_map(|pool| {
                let claim = |&standing| pool.claim(request, standing, false, now);
                standings.iter().find_map(claim).map(|lease| (Arc::clone(pool), lease))
            })
        };
        search(&first)
            .or_else(|| if request.tried.is_empty() { None } else { search(&[Standing::Tried]) })
            .or_else(|| if request.tried.is_empty() { None } else { search(&[Standing::TriedLast]) })
            .or_else(|| self.last_resort(request, now))
    }

    /// Where no backend is eligible, and the pool would rather try one that is out than refuse a player. Those that were
    /// taken out by hand stay out.
    fn last_resort(self: &Arc<Self>, request: &Request, now: Instant) -> Option<Grant> {
        let all = [
            Standing::Untried,
            Standing::UntriedBackup,
            Standing::UntriedResting,
            Standing::Tried,
            Standing::TriedLast,
        ];
        self.and_fallbacks().filter(|pool| pool.has_last_resort() && pool.eligible(now) == 0).find_map(|pool| {
            let lease = all.iter().find_map(|&standing| pool.claim(request, standing, true, now))?;
            Some((Arc::clone(pool), lease))
        })
    }

    /// This pool, and those that stand in for it, in order. The config allows no loops.
    fn and_fallbacks(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |pool| pool.fallback())
    }

    /// Claims the balancer's choice among the backends of this standing. With `anyway`, those that are out are taken too.
    fn claim(&self, request: &Request, standing: Standing, anyway: bool, now: Instant) -> Option<Lease> {
        let mut choice = Choice { pool: self, request, standing, anyway, lost: Vec::new(), now };
        loop {
            let place = self.balancer().pick(&choice, request.client, || fastrand::u64(..))?;
            let member = &self.members()[place];
            if let Some(lease) = Lease::claim(&member.backend, request.client, member.max_connections, anyway, now) {
                return Some(lease);
            }
            choice.lost.push(place);
        }
    }
}

/// A pool's backends, as the balancer is to see them.
struct Choice<'a> {
    pool: &'a Pool,
    request: &'a Request,
    standing: Standing,
    anyway: bool,
    /// Between choosing and claiming, others may take the last place: such a backend is passed over.
    lost: Vec<usize>,
    now: Instant,
}

impl Choice<'_> {
    fn member(&self, place: usize) -> &Member {
        &self.pool.members()[place]
    }
}

impl Field for Choice<'_> {
    fn sessions(&self, place: usize) -> u32 {
        self.member(place).backend.active()
    }

    fn players(&self, place: usize) -> Option<u32> {
        self.member(place).backend.players()
    }

    fn ramp(&self, place: usize) -> u32 {
        self.member(place).backend.ramp().part(self.pool.slow_start(), self.now)
    }

    fn is_eligible(&self, place: usize) -> bool {
        let member = self.member(place);
        Standing::of(member, self.request) == self.standing
            && member.has_room()
            && !self.lost.contains(&place)
            && if self.anyway { member.backend.is_ready() } else { member.backend.is_eligible(self.now) }
    }
}
