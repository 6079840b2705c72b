//! `portti ban`, `unban` and `bans`: addresses that no listener lets in.

use std::io;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::ask::{Body, path, query};
use super::say;
use super::table::{cell, rows, table};
use super::trouble::Trouble;
use super::units::count;

/// An address or a network that is to stay out.
#[derive(Debug, Args)]
pub(crate) struct Ban {
    /// An address, or a network such as 10.0.0.0/8.
    #[arg(value_name = "NETWORK")]
    network: String,
    /// How long, such as 1h. Without this, until `portti unban`.
    #[arg(long = "for", value_name = "TIME")]
    time: Option<String>,
    /// Why, for whoever looks at `portti bans`.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Let the sessions go on that it has now. Without this they end.
    #[arg(long)]
    keep_sessions: bool,
    #[command(flatten)]
    admin: Admin,
}

/// A ban that is to end.
#[derive(Debug, Args)]
pub(crate) struct Unban {
    /// The address or the network, as `portti bans` shows it.
    #[arg(value_name = "NETWORK")]
    network: String,
    #[command(flatten)]
    admin: Admin,
}

/// Who is banned.
#[derive(Debug, Args)]
pub(crate) struct Bans {
    /// Print /api/v1/bans as it comes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Ban {
    /// Bans it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let banned = self.admin.client()?.ask(Method::POST, &path(&["bans"]), Body::Json(self.body())).await?;
        let network = banned["network"].as_str().unwrap_or(&self.network);
        let until = banned["until"].as_str().unwrap_or("it is lifted");
        let closed = count(banned["sessions_closed"].as_u64().unwrap_or_default(), "session");
        say(io::stdout(), format_args!("{network} is banned until {until}; ended: {closed}\n"));
        Ok(ExitCode::SUCCESS)
    }

    fn body(&self) -> Value {
        let mut body = json!({"network": self.network, "close": !self.keep_sessions});
        if let Some(time) = &self.time {
            body["for"] = time.as_str().into();
        }
        if let Some(why) = &self.why {
            body["why"] = why.as_str().into();
        }
        body
    }
}

impl Unban {
    /// Lifts the ban.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let path = path(&["bans"]) + &query(&[("network", Some(self.network.clone()))]);
        let answer = self.admin.client()?.ask(Method::DELETE, &path, Body::Nothing).await?;
        say(io::stdout(), lifted(&self.network, &answer));
        Ok(ExitCode::SUCCESS)
    }
}

impl Bans {
    /// Lists them.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let bans = self.admin.client()?.get(&path(&["bans"])).await?;
        say(io::stdout(), if self.json { format!("{bans}\n") } else { page(&bans) });
        Ok(ExitCode::SUCCESS)
    }
}

/// What a lifted ban leaves: nothing, or others that hold for some of its addresses.
fn lifted(network: &str, answer: &Value) -> String {
    if rows(&answer["still_banned"]).next().is_none() {
        return format!("{network} is no longer banned\n");
    }
    let mut page = format!("the ban of {network} is lifted, but these hold for addresses of it:\n");
    list(&mut page, &answer["still_banned"]);
    page
}

fn page(bans: &Value) -> String {
    if rows(&bans["bans"]).next().is_none() {
        return "nobody is banned\n".to_owned();
    }
    let mut page = String::new();
    list(&mut page, &bans["bans"]);
    if let Some(left_out) = bans["left_out"].as_u64() {
        page += &format!("\n{left_out} more by rule\n");
    }
    page
}

fn list(page: &mut String, bans: &Value) {
    let rows = rows(bans).map(|ban| {
        let until = ban["until"].as_str().unwrap_or("permanent").to_owned();
        let listener = ban["listener"].as_str().unwrap_or("all").to_owned();
        [cell(&ban["network"]), until, cell(&ban["by"]), listener, cell(&ban["why"])]
    });
    table(page, ["NETWORK", "UNTIL", "BY", "LISTENER", "WHY"], rows);
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ban: Ban,
    }

    fn body(line: &[&str]) -> Value {
        Line::parse_from(std::iter::once("ban").chain(line.iter().copied())).ban.body()
    }

    #[test]
    fn a_ban_says_only_what_it_was_told() {
        assert_eq!(body(&["10.0.0.0/8"]), json!({"network": "10.0.0.0/8", "close": true}));
        let all = ["--for", "1h", "--why", "floods", "--keep-sessions", "1.2.3.4"];
        assert_eq!(body(&all), json!({"network": "1.2.3.4", "for": "1h", "why": "floods", "close": false}));
    }

    #[test]
    fn bans_are_told_with_their_reasons() {
        let bans = json!({"bans": [
            {"network": "1.2.3.4/32", "until": null, "by": "hand", "listener": null, "why": "a\u{1b}[2Jb"},
            {"network": "10.0.0.0/8", "until": "2026-01-02T03:04:05.000Z", "by": "rule", "listener": "game", "why": null},
        ]});
        let expected = "\
NETWORK     UNTIL                     BY    LISTENER  WHY
1.2.3.4/32  permanent                 hand  all       a [2Jb
10.0.0.0/8  2026-01-02T03:04:05.000Z  rule  game      -
";
        assert_eq!(page(&bans), expected);
        assert_eq!(page(&json!({"bans": []})), "nobody is banned\n");
    }

    #[test]
    fn what_still_bans_a_network_is_told_when_its_own_ban_is_lifted() {
        assert_eq!(lifted("1.2.3.4", &Value::Null), "1.2.3.4 is no longer banned\n");
        let wider = json!({"network": "1.2.3.0/24", "until": null, "by": "hand", "listener": null, "why": null});
        let expected = "\
the ban of 1.2.3.4 is lifted, but these hold for addresses of it:
NETWORK     UNTIL      BY    LISTENER  WHY
1.2.3.0/24  permanent  hand  all       -
";
        assert_eq!(lifted("1.2.3.4", &json!({"network": "1.2.3.4/32", "still_banned": [wider]})), expected);
    }
}
