//! `portti sessions`: who is connected now, and how to end one of them.

use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hyper::Method;
use serde_json::Value;

use super::admin::Admin;
use super::ask::{Body, Client, path, query};
use super::say;
use super::table::{cell, rows, table};
use super::trouble::Trouble;
use super::units::{age, bytes, micros};

/// Which sessions, and in which order.
#[derive(Debug, Args)]
pub(crate) struct Sessions {
    /// Only those of this listener.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Only those of this pool.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only those of this backend, as `portti status` shows it.
    #[arg(long, value_name = "ADDRESS")]
    backend: Option<String>,
    /// Only those of this client: an address, or a network such as 10.0.0.0/8.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// What comes first: the oldest, those with the most bytes, or with the longest round trips.
    #[arg(long, value_enum, default_value_t = Sort::Age)]
    sort: Sort,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
    /// How many, at most 10000.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Print /api/v1/sessions as it comes.
    #[arg(long)]
    json: bool,
    /// End the session with this id, and list none.
    #[arg(long, value_name = "ID", conflicts_with_all = ["listener", "pool", "backend", "client", "sort", "reverse", "limit", "json"])]
    close: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

/// By what they are sorted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// The oldest first.
    Age,
    /// Those with the most bytes first.
    Bytes,
    /// Those with the longest round trips first.
    Rtt,
}

impl Sessions {
    /// Lists them, or ends one.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let client = self.admin.client()?;
        let words = match &self.close {
            Some(id) => end(&client, id).await?,
            None => self.list(&client).await?,
        };
        say(io::stdout(), words);
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self, client: &Client) -> Result<String, Trouble> {
        let list = client.get(&(path(&["sessions"]) + &self.query())).await?;
        Ok(if self.json { format!("{list}\n") } else { page(&list) })
    }

    fn query(&self) -> String {
        let sort = match self.sort {
            Sort::Age => "age",
            Sort::Bytes => "bytes",
            Sort::Rtt => "rtt",
        };
        query(&[
            ("listener", self.listener.clone()),
            ("pool", self.pool.clone()),
            ("backend", self.backend.clone()),
            ("client", self.client.clone()),
            ("sort", Some(sort.to_owned())),
            ("order", self.reverse.then(|| "asc".to_owned())),
            ("limit", Some(self.limit.to_string())),
        ])
    }
}

async fn end(client: &Client, id: &str) -> Result<String, Trouble> {
    client.ask(Method::DELETE, &path(&["sessions", id]), Body::Nothing).await?;
    Ok(format!("session {id} is ended\n"))
}

fn page(list: &Value) -> String {
    if rows(&list["sessions"]).next().is_none() {
        return "there is no such session\n".to_owned();
    }
    let mut page = String::new();
    let head = ["SESSION", "LISTENER", "CLIENT", "POOL", "BACKEND", ">AGE", ">UP", ">DOWN", ">RTT", ">RETRANSMITS"];
    table(&mut page, head, rows(&list["sessions"]).map(row));
    let (shown, total) = (rows(&list["sessions"]).count(), list["total"].as_u64().unwrap_or_default());
    if u64::try_from(shown).is_ok_and(|shown| shown < total) {
        page +=
            &format!("\n{shown} of {total}; --limit shows more, --listener, --pool, --backend and --client fewer\n");
    }
    page
}

fn row(session: &Value) -> [String; 10] {
    let of = |key: &str| cell(&session[key]);
    [
        of("id"),
        of("listener"),
        of("client"),
        of("pool"),
        of("backend"),
        age(&session["age_ms"]),
        bytes(&session["bytes_up"]),
        bytes(&session["bytes_down"]),
        micros(&session["rtt_us"]),
        of("retransmits"),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::super::fake;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sessions: Sessions,
    }

    fn parse(line: &[&str]) -> Result<Sessions, clap::Error> {
        Line::try_parse_from(std::iter::once("sessions").chain(line.iter().copied())).map(|line| line.sessions)
    }

    #[test]
    fn what_is_asked_for_stands_in_the_query() {
        assert_eq!(parse(&[]).unwrap().query(), "?sort=age&limit=100");
        let all = ["--client", "10.0.0.0/8", "--backend", "[::1]:7", "--sort", "rtt", "--reverse", "--limit", "3"];
        let expected = "?backend=%5B%3A%3A1%5D%3A7&client=10.0.0.0%2F8&sort=rtt&order=asc&limit=3";
        assert_eq!(parse(&all).unwrap().query(), expected);
        for wrong in [["--limit", "0"], ["--limit", "10001"], ["--sort", "name"]] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&["--close", "1", "--pool", "game"]).is_err());
        assert!(parse(&["--close", "1"]).is_ok());
    }

    #[test]
    fn a_page_has_a_line_for_each_and_says_how_many_there_are() {
        let mut list = json!({"total": 1, "sessions": [{
            "id": "6b01b32c00000000", "listener": "game", "client": "10.0.0.9:4711", "pool": "game", "backend": null,
            "age_ms": 3_725_000, "bytes_up": 2048, "bytes_down": 12, "rtt_us": null, "retransmits": 0, "mode": "tcp",
        }]});
        let expected = "\
SESSION           LISTENER  CLIENT         POOL  BACKEND    AGE       UP  DOWN  RTT  RETRANSMITS
6b01b32c00000000  game      10.0.0.9:4711  game  -        1h 2m  2.0 KiB  12 B    -            0
";
        assert_eq!(page(&list), expected);
        assert_eq!(page(&json!({"sessions": [], "total": 0})), "there is no such session\n");
        list["total"] = 9000.into();
        assert!(
            page(&list)
                .ends_with("\n1 of 9000; --limit shows more, --listener, --pool, --backend and --client fewer\n")
        );
    }

    #[test]
    fn one_is_ended_by_its_id() {
        fake::with(
            |_| (204, String::new()),
            async |client, journal| {
                assert_eq!(end(&client, "6b01").await.unwrap(), "session 6b01 is ended\n");
                assert_eq!(journal.lines(), ["DELETE /api/v1/sessions/6b01"]);
            },
        );
    }
}
