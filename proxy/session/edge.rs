//! What a listener wants to know of a client before a backend is chosen.

use std::sync::Arc;
use std::time::Duration;

use crate::config::model::Route;
use crate::net::client_hello::ClientHello;
use crate::pool::Pool;

/// Where clients go by what they say first, and how long they may take to say it.
#[derive(Debug)]
pub struct Edge {
    /// The first that takes a client is where it goes.
    pub routes: Vec<(Route, Arc<Pool>)>,
    /// For all that is said before a backend is chosen.
    pub preread_timeout: Duration,
}

impl Edge {
    /// Where a client goes that asks for this, if it is not to go where all go.
    pub fn pool_for(&self, hello: &ClientHello) -> Option<&Arc<Pool>> {
        let host = hello.server_name.as_deref();
        let found = self.routes.iter().find(|(route, _)| route.takes(host, hello.protocols.iter()));
        found.map(|(_, pool)| pool)
    }
}
