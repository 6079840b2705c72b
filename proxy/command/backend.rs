//! Which backend a command is about, and how it stands.

use clap::Args;
use serde_json::{Value, json};

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

    /// How it stands; nothing if it is gone, and it is unknown whether sessions are left on it.
    pub(super) async fn look(&self, client: &Client) -> Result<Option<Value>, Trouble> {
        let status = client.get(&path(&["status"])).await?;
        Ok(self.find(&status))
    }

    fn find(&self, status: &Value) -> Option<Value> {
        let is_it = |backend: &&Value| backend["address"] == self.address.as_str();
        let pool = rows(&status["pools"]).find(|pool| pool["name"] == self.pool.as_str());
        let in_pool = pool.and_then(|pool| rows(&pool["backends"]).find(is_it));
        let mut removed = rows(&status["removed_backends"]);
        let found = in_pool.or_else(|| removed.find(|backend| backend["pool"] == self.pool.as_str() && is_it(backend)));
        // Those that are removed are told of as long as they have sessions.
        let is_empty = || status["removed_backends"].is_array().then(|| json!({"removed": true, "sessions_active": 0}));
        found.cloned().or_else(is_empty)
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "backend {} of pool {}", self.address, self.pool)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_backend_that_was_removed_is_found_as_long_as_it_has_sessions() {
        let status = json!({"pools": [{"name": "game", "backends": []}], "removed_backends": [
            {"pool": "lobby", "address": "a:1", "sessions_active": 1}, {"pool": "game", "address": "a:1", "sessions_active": 2},
        ]});
        let sessions = |address: &str| {
            let backend = Backend { pool: "game".to_owned(), address: address.to_owned() };
            backend.find(&status).unwrap()["sessions_active"].as_u64()
        };
        assert_eq!([sessions("a:1"), sessions("b:1")], [Some(2), Some(0)]);
    }
}
