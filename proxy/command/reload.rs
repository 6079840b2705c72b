//! `portti reload`: applies the config file, or says what is wrong with it.

use std::io;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::admin::Admin;
use super::ask::{Body, path};
use super::say;
use super::table::{cell, rows};
use super::trouble::Trouble;

/// Has the file read now, whether it has changed or not.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    admin: Admin,
}

impl Reload {
    /// Reloads. What is wrong with the file comes as `portti check` tells it.
    pub(crate) async fn run(&self) -> Result<ExitCode, Trouble> {
        let done = self.admin.client()?.ask(Method::POST, &path(&["reload"]), Body::Nothing).await;
        if let Err(Trouble::Refused(refusal)) = &done
            && refusal.is_about_config()
        {
            say(io::stderr(), "the file is refused, and what ran before goes on:\n");
        }
        say(io::stdout(), words(&done?));
        Ok(ExitCode::SUCCESS)
    }
}

fn words(done: &Value) -> String {
    let what = if done["result"] == "unchanged" { "nothing has changed" } else { "applied" };
    let mut words = format!("{what}: generation {}\n", cell(&done["generation"]));
    for key in rows(&done["needs_restart"]) {
        words += &format!("{} needs a restart\n", cell(key));
    }
    for name in rows(&done["unresolved"]) {
        words += &format!("warning: {}\n", cell(name));
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_done_is_told_with_what_was_not() {
        let applied = json!({"result": "applied", "generation": 3, "needs_restart": ["admin.bind"]});
        assert_eq!(words(&applied), "applied: generation 3\nadmin.bind needs a restart\n");
        let waits = json!({"result": "applied", "generation": 4, "unresolved": ["pools.game.backends: a.test:1 does not resolve: NXDOMAIN"]});
        assert_eq!(
            words(&waits),
            "applied: generation 4\nwarning: pools.game.backends: a.test:1 does not resolve: NXDOMAIN\n"
        );
        let unchanged = json!({"result": "unchanged", "generation": 3, "needs_restart": []});
        assert_eq!(words(&unchanged), "nothing has changed: generation 3\n");
    }
}
