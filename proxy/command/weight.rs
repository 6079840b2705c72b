//! `portti weight`: how many of a pool's sessions a backend gets, beside the others.

use std::io;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use hyper::Method;
use serde_json::json;

use super::admin::Admin;
use super::ask::Body;
use super::backend::Backend;
use super::say;
use super::table::cell;
use super::trouble::Trouble;

/// The most that the config file takes, too.
const MOST: u16 = 256;

/// Sets a backend's weight by hand.
#[derive(Debug, Args)]
pub(crate) struct Weight {
    #[command(flatten)]
    backend: Backend,
    /// 0 to 256, or `file` for what the config file says. With 0 it gets nobody while others can.
    #[arg(value_name = "WEIGHT")]
    weight: Set,
    #[command(flatten)]
    admin: Admin,
}

/// A number, or the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set(Option<u16>);

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "file" => Ok(Self(None)),
            Ok(weight) if weight <= MOST => Ok(Self(Some(weight))),
            _ => Err(format!("it is a whole number from 0 to {MOST}, or `file`")),
        }
    }
}

impl Weight {
    /// Sets it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let (client, path) = (self.admin.client()?, self.backend.path("weight"));
        let now = client.ask(Method::POST, &path, Body::Json(json!({"weight": self.weight.0}))).await?;
        let by = if now["weight_by"] == "hand" { ", by hand" } else { ", as the file says" };
        say(io::stdout(), format_args!("{} has weight {}{by}\n", self.backend, cell(&now["weight"])));
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_or_the_files() {
        assert_eq!(
            ["0", "256", "file"].map(|text| text.parse()),
            [Ok(Set(Some(0))), Ok(Set(Some(256))), Ok(Set(None))]
        );
        for wrong in ["", "257", "-1", "1.5", "File"] {
            assert!(wrong.parse::<Set>().is_err(), "{wrong}");
        }
    }
}
