//! Which backend a command is about, and how it stands.

use clap::Args;
use serde_json::Value;

use super::ask::{Client, path};
use super::table::rows;
use super::trouble::Trouble;

/// Which one.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct Backend {
    /// The pool's name.
    #[arg(value_name = "POOL")]
    pub(super) pool: String,
    /// The backend's address, as `portti status` shows it.
    #[arg(value_name = "BACKEND")]
    pub(super) address: String,
}

impl Backend {
    /// Where something of it is set.
    pub(super) fn path(&self, what: &str) -> String {
        path(&["pools", &self.pool, "backends", &self.address, what])
    }

    /// How it stands; nothing if it is gone.
    pub(super) async fn look(&self, client: &Client) -> Result<Option<Value>, Trouble> {
        let status = client.get(&path(&["status"])).await?;
        Ok(self.find(&status).cloned())
    }

    fn find<'a>(&self, status: &'a Value) -> Option<&'a Value> {
        let pool = rows(&status["pools"]).find(|pool| pool["name"] == self.pool.as_str())?;
        rows(&pool["backends"]).find(|backend| backend["address"] == self.address.as_str())
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "backend {} of pool {}", self.address, self.pool)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_backend_is_found_in_its_own_pool() {
        let backends = |sessions| json!([{"address": "a:1", "sessions_active": sessions}]);
        let status = json!({"pools": [
            {"name": "lobby", "backends": backends(1)}, {"name": "game", "backends": backends(2)},
        ]});
        let of = |pool: &str, address: &str| {
            let backend = Backend { pool: pool.to_owned(), address: address.to_owned() };
            backend.find(&status).map(|backend| backend["sessions_active"].clone())
        };
        assert_eq!(of("game", "a:1"), Some(json!(2)));
        assert_eq!([of("game", "b:1"), of("web", "a:1")], [None, None]);
    }
}
