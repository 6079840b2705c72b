//! Sessions that live: a list, page by page, and the end of one.

use std::str::FromStr;

use hyper::{Request, StatusCode};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::input;
use super::reply::{self, Outcome, Refusal};
use crate::admission::acl::{self, NetworkError};
use crate::config::scalar::Explain as _;
use crate::control::live::{self, Stuck};
use crate::control::state::State;
use crate::control::view::Sessions;
use crate::session::{Filter, Mark, Query, Sort};

/// Sessions on a page, where it is not said; and at most, which is as much as one answer should make the control thread write.
const PAGE: usize = 100;
const PAGE_MAX: usize = 10_000;

/// What stands behind the `?`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default, deserialize_with = "given")]
    listener: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pool: Option<String>,
    #[serde(default, deserialize_with = "given")]
    backend: Option<String>,
    #[serde(default, deserialize_with = "given")]
    client: Option<String>,
    #[serde(default, deserialize_with = "given")]
    sort: Option<String>,
    #[serde(default, deserialize_with = "given")]
    order: Option<String>,
    #[serde(default, deserialize_with = "given")]
    limit: Option<String>,
    #[serde(default, deserialize_with = "given")]
    cursor: Option<String>,
}

/// The sessions that are asked for.
pub(super) async fn list<B>(request: &Request<B>, state: &State) -> Outcome {
    let query = input::query::<Wanted, _>(request)?.query()?;
    let limit = query.limit;
    state.live().note_look();
    // One more than is shown tells whether there is another page.
    let mut found = live::list(state, Query { limit: limit + 1, ..query.clone() }).await?;
    let more = found.rows.len() > limit;
    found.rows.truncate(limit);
    let next = found.rows.last().filter(|_| more).map(|last| cursor(&query, last.mark));
    Ok(reply::json(StatusCode::OK, &Sessions::of(found, next)))
}

/// Ends a session.
pub(super) async fn end(id: &str, state: &State) -> Outcome {
    let session = id.parse().ok();
    let was_there = match session {
        Some(session) => live::kill(state, session).await?,
        None => false,
    };
    if !was_there {
        let error = format!("no session {id:?} lives; GET /api/v1/sessions tells which do");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no_such_session", error));
    }
    tracing::info!(session = id, "a session is ended by the admin API");
    Ok(reply::done())
}

impl Wanted {
    fn query(&self) -> Result<Query, Refusal> {
        let filter = Filter {
            listener: read("listener", self.listener.as_deref(), "a listener's name")?,
            pool: read("pool", self.pool.as_deref(), "a pool's name")?,
            backend: read(
                "backend",
                self.backend.as_deref(),
                "an address as the status has it, such as 10.0.0.11:25565",
            )?,
            client: network(self.client.as_deref())?,
        };
        let (by, descending) = self.order()?;
        let limit = read("limit", self.limit.as_deref(), "a number from 1 to 10000")?.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(wrong("limit", &limit.to_string(), "a number from 1 to 10000"));
        }
        let query = Query { filter, by, descending, after: None, limit };
        let Some(cursor) = &self.cursor else { return Ok(query) };
        let after = mark(&query, cursor);
        let after = after.ok_or_else(|| wrong("cursor", cursor, "what `next` said of the same sort and order"))?;
        Ok(Query { after: Some(after), ..query })
    }

    fn order(&self) -> Result<(Sort, bool), Refusal> {
        let named = |word: &str| {
            let sort = Sort::ALL.into_iter().find(|sort| sort.as_str() == word);
            sort.ok_or_else(|| wrong("sort", word, "age, bytes or rtt"))
        };
        let sort = self.sort.as_deref().map_or(Ok(Sort::Age), named)?;
        match self.order.as_deref() {
            None | Some("desc") => Ok((sort, true)),
            Some("asc") => Ok((sort, false)),
            Some(other) => Err(wrong("order", other, "asc or desc")),
        }
    }
}

/// Nothing behind a key is not the same as no key.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

/// A value of the query, if it is there.
fn read<T: FromStr>(key: &str, text: Option<&str>, expected: &str) -> Result<Option<T>, Refusal> {
    text.map(|text| text.parse().map_err(|_wrong| wrong(key, text, expected))).transpose()
}

/// An address is the network of that address alone.
fn network(text: Option<&str>) -> Result<Option<IpNet>, Refusal> {
    let wrong =
        |text: &str, error: NetworkError| Refusal::bad_request(format!("client={text}: {error}; {}", error.hint()));
    text.map(|text| acl::network(text).map_err(|error| wrong(text, error))).transpose()
}

fn wrong(key: &str, text: &str, expected: &str) -> Refusal {
    Refusal::bad_request(format!("{key}={text}: expected {expected}"))
}

/// Where a page ends, as text: it holds the order, too, for in another one it would be somewhere else.
fn cursor(query: &Query, mark: Mark) -> String {
    format!("{}{:x}.{}", order_of(query), mark.rank, mark.id)
}

fn mark(query: &Query, cursor: &str) -> Option<Mark> {
    let (rank, id) = cursor.strip_prefix(&order_of(query))?.split_once('.')?;
    Some(Mark { rank: u64::from_str_radix(rank, 16).ok()?, id: id.parse().ok()? })
}

fn order_of(query: &Query) -> String {
    format!("{}.{}.", query.by.as_str(), if query.descending { "desc" } else { "asc" })
}

impl From<Stuck> for Refusal {
    fn from(_: Stuck) -> Self {
        let error = "a worker does not answer: it is stuck, or has far too much to do";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_answer", error)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::session::Ids;

    fn query(text: &str) -> Result<Query, &'static str> {
        let request = Request::builder().uri(format!("http://a/?{text}")).body(()).unwrap();
        input::query::<Wanted, _>(&request).and_then(|wanted| wanted.query()).map_err(|refusal| refusal.code())
    }

    #[test]
    fn a_query_is_read_whole_or_refused() {
        let plain = query("").unwrap();
        assert_eq!((plain.by, plain.descending, plain.limit), (Sort::Age, true, PAGE));
        assert!(plain.after.is_none() && plain.filter.client.is_none());
        let full =
            "listener=game&pool=lobby&backend=a.example%3D10.0.0.1:1&client=10.0.0.0/8&sort=rtt&order=asc&limit=7";
        let full = query(full).unwrap();
        assert_eq!((full.by, full.descending, full.limit), (Sort::Rtt, false, 7));
        assert_eq!(full.filter.backend.unwrap().to_string(), "a.example=10.0.0.1:1");
        assert!(full.filter.client.unwrap().contains(&IpAddr::from([10, 9, 9, 9])));
        assert_eq!(query("client=1.2.3.4").unwrap().filter.client.unwrap().to_string(), "1.2.3.4/32");
        for wrong in [
            "nothing=1",
            "sort=id",
            "order=up",
            "limit=0",
            "limit=10001",
            "limit=x",
            "client=1.2.3",
            "client=10.1.2.3/8",
            "backend=there",
            "cursor=x",
            "limit=",
            "sort=",
            "pool=",
            "limit=1&limit=2",
        ] {
            assert_eq!(query(wrong).err(), Some("bad_request"), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_holds_for_its_own_order() {
        let query_of = |text| query(text).unwrap();
        let mark = Mark { rank: u64::MAX - 7, id: Ids::new().next() };
        let by_age = query_of("sort=age&limit=5");
        let text = cursor(&by_age, mark);
        assert_eq!(text, format!("age.desc.fffffffffffffff8.{}", mark.id));
        assert_eq!(query_of(&format!("cursor={text}")).after, Some(mark));
        assert_eq!(query(&format!("cursor={text}&order=asc")).err(), Some("bad_request"));
        assert_eq!(query(&format!("cursor={text}&sort=bytes")).err(), Some("bad_request"));
    }
}
