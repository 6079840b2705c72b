//! Where a running portti is asked, and with which token.

use std::env;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::ask::Client;
use super::trouble::Trouble;

/// Holds the token where no file is named. Not an option: what stands on a command line can be read by everybody.
const TOKEN: &str = "PORTTI_TOKEN";

/// Where to ask. Every command that talks to a running portti has these options.
#[derive(Debug, Args)]
pub(super) struct Admin {
    /// The admin address of the portti to ask.
    #[arg(long, value_name = "ADDRESS", env = "PORTTI_ADMIN", default_value = "127.0.0.1:9900")]
    admin: String,
    /// The file with the token that `[admin] token_file` asks for. Without it, PORTTI_TOKEN holds the token itself.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Admin {
    /// Who asks there.
    pub(super) fn client(&self) -> Result<Client, Trouble> {
        Client::new(&self.admin).with_token(self.token()?.as_deref())
    }

    fn token(&self) -> Result<Option<String>, Trouble> {
        match &self.token_file {
            Some(file) => match fs::read_to_string(file) {
                Ok(token) => Ok(Some(token)),
                Err(error) => Err(Trouble::Unreadable { file: file.clone(), error }),
            },
            // Set to nothing is how a compose file says that there is none.
            None => Ok(env::var(TOKEN).ok().filter(|token| !token.trim().is_empty())),
        }
    }
}
