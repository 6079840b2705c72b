//! Lists of sessions for people: which of them, in which order, and what is told of each.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::handle::Handle;
use super::id::Moment;
use super::{SessionId, Tally};
use crate::admission::acl;
use crate::config::model::Mode;
use crate::config::scalar::Name;
use crate::pool::{Backend, Key, Pool};
use crate::relay::Quality;

/// What somebody wants to see.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which sessions.
    pub filter: Filter,
    /// What they are ordered by.
    pub by: Sort,
    /// The greatest first.
    pub descending: bool,
    /// Only those behind this mark.
    pub after: Option<Mark>,
    /// So many at most.
    pub limit: usize,
}

/// Sessions that have all of these.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Accepted by the listener of this name.
    pub listener: Option<Name>,
    /// On their way to the pool of this name.
    pub pool: Option<Name>,
    /// Connected to this backend.
    pub backend: Option<Key>,
    /// With an address in this network.
    pub client: Option<IpNet>,
}

/// What sessions are ordered by; those that are alike in it, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// How long they have lasted.
    Age,
    /// Bytes in both directions.
    Bytes,
    /// The client's round-trip time; 0 where it is not known.
    Rtt,
}

/// A place in an order. It stays where it is when the session that stood there goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// What is sorted by.
    pub rank: u64,
    /// The session that stood there.
    pub id: SessionId,
}

/// What is told of one session.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its place in the order that was asked for.
    pub mark: Mark,
    /// The client's address.
    pub client: SocketAddr,
    /// The counts of its listener.
    pub tally: Arc<Tally>,
    /// What that speaks.
    pub mode: Mode,
    /// Where it goes, as soon as that is known.
    pub pool: Option<Arc<Pool>>,
    /// Where it is connected to.
    pub backend: Option<Arc<Backend>>,
    /// How long ago it was accepted.
    pub age: Duration,
    /// Bytes passed, up and down.
    pub bytes: (u64, u64),
    /// The client's side, when the kernel was asked last.
    pub quality: Option<Quality>,
}

/// What a query has found.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In no order; those that stand first in it, where there are more than the limit.
    pub rows: Vec<Row>,
    /// How many sessions the filter takes, those before the mark included.
    pub total: usize,
}

impl Sort {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::Age, Self::Bytes, Self::Rtt];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Bytes => "bytes",
            Self::Rtt => "rtt",
        }
    }
}

impl Query {
    /// Looks at sessions. Costs little for those that are not told of in the end: their marks are all that is kept of them.
    pub(super) fn run<'a>(&self, sessions: impl Iterator<Item = &'a Handle>, now: Moment) -> Listing {
        let mut total = 0;
        let mut found: Vec<(Mark, &Handle)> = sessions
            .filter(|handle| self.filter.takes(handle))
            .inspect(|_| total += 1)
            .map(|handle| (self.mark(handle), handle))
            .filter(|(mark, _)| self.after.is_none_or(|after| self.order(&after, mark).is_lt()))
            .collect();
        if found.len() > self.limit {
            found.select_nth_unstable_by(self.limit, |(one, _), (other, _)| self.order(one, other));
            found.truncate(self.limit);
        }
        Listing { rows: found.into_iter().map(|(mark, handle)| Row::of(mark, handle, now)).collect(), total }
    }

    /// What several workers have found, in order, as if it were of one.
    pub fn join(&self, listings: impl IntoIterator<Item = Listing>) -> Listing {
        let mut all = Listing::default();
        for Listing { rows, total } in listings {
            all.rows.extend(rows);
            all.total += total;
        }
        all.rows.sort_unstable_by(|one, other| self.order(&one.mark, &other.mark));
        all.rows.truncate(self.limit);
        all
    }

    fn order(&self, one: &Mark, other: &Mark) -> Ordering {
        if self.descending { other.cmp(one) } else { one.cmp(other) }
    }

    fn mark(&self, handle: &Handle) -> Mark {
        let rank = match self.by {
            Sort::Age => u64::MAX - handle.accepted.0,
            Sort::Bytes => {
                let (up, down) = handle.bytes();
                up.saturating_add(down)
            }
            Sort::Rtt => handle.quality().map_or(0, |quality| u64::from(quality.rtt_us)),
        };
        Mark { rank, id: handle.id }
    }
}

impl Filter {
    fn takes(&self, handle: &Handle) -> bool {
        let Self { listener, pool, backend, client } = self;
        listener.as_ref().is_none_or(|wanted| wanted == handle.tally.listener())
            && backend.as_ref().is_none_or(|wanted| handle.backend().is_some_and(|its| its.key() == wanted))
            && client.is_none_or(|wanted| acl::is_of(handle.client.0, &wanted))
            && pool.as_ref().is_none_or(|wanted| handle.pool().is_some_and(|its| its.name() == wanted))
    }
}

impl Row {
    fn of(mark: Mark, handle: &Handle, now: Moment) -> Self {
        Self {
            mark,
            client: handle.source(),
            tally: Arc::clone(&handle.tally),
            mode: handle.mode,
            pool: handle.pool(),
            backend: handle.backend().map(Arc::clone),
            age: now.since(handle.accepted),
            bytes: handle.bytes(),
            quality: handle.quality(),
        }
    }
}

#[cfg(test)]
mod tests;
