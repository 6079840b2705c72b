//! What sections say about each other: listeners and pools name pools.

use std::collections::{BTreeMap, BTreeSet};

use super::listener::Listener;
use super::pool::Pool;
use super::{Problem, loops};
use crate::config::raw::{Report, Setting, known};
use crate::config::scalar::Name;

pub(super) fn check(report: &Report, listeners: &[Listener], pools: &[Pool]) {
    let names: BTreeSet<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    let of_listeners = listeners.iter().flat_map(|listener| listener.pool.iter().chain(&listener.other_pools));
    let of_pools = pools.iter().filter_map(|pool| pool.fallback.as_ref());
    let named: Vec<_> = of_listeners.chain(of_pools).collect();
    let unknown: Vec<_> = named.iter().filter(|pool| !names.contains(pool.value.as_str())).collect();
    for pool in unknown.iter().filter(|_| !names.is_empty()) {
        report.add_unless_damaged(unknown_pool(pool, &names));
    }
    // A pool named wrongly is the one that seems unused.
    if !listeners.is_empty() && unknown.is_empty() && listeners.iter().all(|listener| listener.model.is_some()) {
        unused(report, &named, pools);
    }
    loops::check(report, listeners, pools);
    circles(report, pools);
    chains(report, pools);
}

/// Refuses chains of fallbacks that are longer than anybody means.
fn chains(report: &Report, pools: &[Pool]) {
    let next: BTreeMap<&str, &Setting<Name>> =
        pools.iter().filter_map(|pool| Some((pool.name.as_str(), pool.fallback.as_ref()?))).collect();
    for pool in pools {
        let steps = std::iter::successors(pool.fallback.as_ref(), |to| next.get(to.value.as_str()).copied());
        let mut steps = steps.take(CHAIN_MAX + 2);
        // Those that are longer still have this one in them.
        if let (Some(last), None) = (steps.nth(CHAIN_MAX), steps.next()) {
            let message = format!("more than {CHAIN_MAX} pools stand in one behind the other");
            let problem = Problem::error(&last.place, message);
            report.add(problem.hint("leave out a fallback"));
        }
    }
}

/// Refuses pools that stand in for each other in a circle. Each has one fallback at most, so a way from pool to pool either
/// ends, meets one that was followed before, or closes a circle: every pool is looked at once.
fn circles(report: &Report, pools: &[Pool]) {
    let index: BTreeMap<&str, usize> = pools.iter().enumerate().map(|(at, pool)| (pool.name.as_str(), at)).collect();
    let next = |at: usize| index.get(pools[at].fallback.as_ref()?.value.as_str()).copied();
    let mut followed_from: Vec<Option<usize>> = vec![None; pools.len()];
    for start in 0..pools.len() {
        let mut here = Some(start);
        while let Some(at) = here.filter(|&at| followed_from[at].is_none()) {
            followed_from[at] = Some(start);
            here = next(at);
        }
        if let Some(at) = here.filter(|&at| followed_from[at] == Some(start)) {
            let others = std::iter::successors(next(at), |&other| next(other)).take_while(|&other| other != at);
            report_circle(report, pools, std::iter::once(at).chain(others).collect());
        }
    }
}

/// Told by the first of its pools, whichever way led into it.
fn report_circle(report: &Report, pools: &[Pool], mut circle: Vec<usize>) {
    let first = (0..circle.len()).min_by_key(|&at| &pools[circle[at]].name).unwrap_or_default();
    circle.rotate_left(first);
    let mut names: Vec<&str> = circle.iter().take(NAMED_MAX).map(|&at| pools[at].name.as_str()).collect();
    if circle.len() > NAMED_MAX {
        names.push("...");
    }
    names.extend(circle.first().map(|&at| pools[at].name.as_str()));
    let message = format!("pools stand in for each other in a circle: {}", names.join(" -> "));
    if let Some(fallback) = circle.first().and_then(|&at| pools[at].fallback.as_ref()) {
        report.add(Problem::error(&fallback.place, message).hint("leave out the fallback of one of them"));
    }
}

fn unused(report: &Report, named: &[&Setting<Name>], pools: &[Pool]) {
    let used: BTreeSet<&str> = named.iter().map(|pool| pool.value.as_str()).collect();
    for pool in pools.iter().filter(|pool| !used.contains(pool.name.as_str())) {
        report.add_unless_damaged(Problem::warning(&pool.place, "no listener uses this pool"));
    }
}

fn unknown_pool(pool: &Setting<Name>, names: &BTreeSet<&str>) -> Problem {
    let message = format!("no pool is named {:?}", pool.value.as_str());
    if let Some(near) = known::nearest(pool.value.as_str(), names.iter().copied()) {
        return Problem::error(&pool.place, format!("{message}, did you mean {near:?}?"));
    }
    let mut list = names.iter().copied().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED_MAX {
        list.push_str(", ...");
    }
    Problem::error(&pool.place, message).hint(format!("the pools are {list}"))
}

/// Fallbacks one behind the other. A session that finds no place looks at each pool of its chain.
const CHAIN_MAX: usize = 16;

/// As many names as a line holds.
const NAMED_MAX: usize = 10;
