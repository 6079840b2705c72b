//! A proxy in this process.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portti::app::{self, Running, Start, StartError};
use portti::config;
use portti::telemetry;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::task::spawn_blocking;

use super::admin::{self, Answer, Metrics};
use super::backend::ByHand;
use super::{Backend, Peer, eventually, soon};

/// A running proxy, on threads of its own, with a config file in a folder of its own. Ends when dropped.
pub(crate) struct Proxy {
    folder: TempDir,
    running: Option<Arc<Running>>,
}

impl Proxy {
    /// Starts with this config. What every test needs is added where the config does not have it: a listener `game` on a
    /// port of the kernel's choice that leads to the pool `game`, an admin address, and two workers.
    pub(crate) fn with(snippet: &str) -> Self {
        Self::try_with(snippet).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_with(snippet: &str) -> Result<Self, StartError> {
        Self::in_folder(tempfile::tempdir().unwrap(), snippet)
    }

    /// The same, with what the config names in its folder already.
    pub(crate) fn in_folder(folder: TempDir, snippet: &str) -> Result<Self, StartError> {
        let path = folder.path().join("portti.toml");
        std::fs::write(&path, complete(snippet)).unwrap();
        Self::start(folder, path)
    }

    /// Starts with the file at `path`, which lies somewhere in `folder`.
    pub(crate) fn start(folder: TempDir, path: PathBuf) -> Result<Self, StartError> {
        let content = config::read(&path).unwrap();
        let config = config::check(&path, &content).unwrap_or_else(|problems| panic!("{problems}")).config;
        let start = Start { path, content, config, telemetry: telemetry::start_feed(), signals: None };
        Ok(Self { folder, running: Some(Arc::new(app::start(start)?)) })
    }

    /// Starts with these backends in the pool `game`, and everything else by default.
    pub(crate) fn before(backends: &[&Backend]) -> Self {
        Self::with(&pool(backends, ""))
    }

    fn running(&self) -> &Arc<Running> {
        self.running.as_ref().expect("it has not been waited for")
    }

    /// Where the listener `game` was bound at the start.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of("game")
    }

    pub(crate) fn address_of(&self, listener: &str) -> SocketAddr {
        self.running().address(listener).expect("the listener exists")
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.running().admin.expect("there is an admin address")
    }

    pub(crate) fn has_admin(&self) -> bool {
        self.running().admin.is_some()
    }

    /// A new client.
    pub(crate) async fn connect(&self) -> Peer {
        Peer::connect(self.address()).await
    }

    /// A new client at an address of this machine: all of 127.0.0.0/8 are.
    pub(crate) async fn connect_from(&self, address: impl Into<IpAddr>) -> Peer {
        self.connect_from_to("game", address).await
    }

    /// The same, to this listener.
    pub(crate) async fn connect_from_to(&self, listener: &str, address: impl Into<IpAddr>) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.into(), 0)).unwrap();
        Peer(soon("a connection", socket.connect(self.address_of(listener))).await.unwrap())
    }

    /// Both ends of a new session.
    pub(crate) async fn session(&self, backend: &mut ByHand) -> (Peer, Peer) {
        let client = self.connect().await;
        (client, backend.next().await)
    }

    /// The folder of the config file.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the config file, at once and as a whole, and leaves it to the proxy to notice.
    pub(crate) fn write(&self, snippet: &str) {
        let new = self.folder.path().join("portti.toml.new");
        std::fs::write(&new, complete(snippet)).unwrap();
        std::fs::rename(new, self.folder.path().join("portti.toml")).unwrap();
    }

    /// Has the config file read again.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        let running = Arc::clone(self.running());
        soon("a reload", spawn_blocking(move || running.reload())).await.unwrap()
    }

    /// Writes the config file anew and has it read; it must be accepted.
    pub(crate) async fn reload_with(&self, snippet: &str) {
        self.write(snippet);
        self.reload().await.unwrap_or_else(|problems| panic!("{problems}"));
    }

    /// Begins the way down, or hurries it on.
    pub(crate) fn shut_down(&self) {
        self.running().shut_down();
    }

    /// Waits until the proxy has ended by itself.
    pub(crate) async fn ended(&mut self) {
        let running = self.running.take().and_then(Arc::into_inner).expect("nothing else waits");
        soon("the end of the proxy", spawn_blocking(move || running.wait())).await.unwrap().unwrap();
    }

    /// `GET path` on the admin address.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        admin::get(self.admin(), path).await
    }

    /// `/api/v1/status`.
    pub(crate) async fn status(&self) -> Value {
        self.get("/api/v1/status").await.json()
    }

    /// The entry of a backend in `/api/v1/status`.
    pub(crate) async fn backend(&self, address: SocketAddr) -> Value {
        let status = self.status().await;
        let pools = status["pools"].as_array().unwrap();
        let mut backends = pools.iter().flat_map(|pool| pool["backends"].as_array().unwrap());
        let found = backends.find(|backend| backend["address"] == address.to_string());
        found.unwrap_or_else(|| panic!("no backend {address} in {status}")).clone()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").await.body)
    }

    /// The samples of a metric with these labels, added up.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().await.sum(name, labels)
    }

    /// Waits until exactly so many sessions have ended for this reason, by the metric of that name.
    pub(crate) async fn expect_ended(&self, reason: &str, sessions: u32) {
        let what = format!("{sessions} sessions ended by {reason}");
        let ended = async || self.metric("portti_sessions_total", &[("reason", reason)]).await;
        eventually(&what, async || ended().await >= f64::from(sessions)).await;
        assert_eq!(ended().await, f64::from(sessions), "more than {what}");
    }

    /// Waits until no session lives, by every count of them.
    pub(crate) async fn expect_empty(&self) {
        eventually("no live session", async || {
            let metrics = self.metrics().await;
            let counts =
                ["portti_sessions_active", "portti_backend_sessions_active"].map(|name| metrics.sum(name, &[]));
            counts == [0.0, 0.0] && self.status().await["sessions_active"] == 0
        })
        .await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(running) = self.running.take().and_then(Arc::into_inner) {
            // The second time, it does not wait for the sessions that a failed test has left.
            running.shut_down();
            running.shut_down();
            let _lost = running.wait();
        }
    }
}

/// The config of a pool `game` with these backends, and further keys.
pub(crate) fn pool(backends: &[&Backend], keys: &str) -> String {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    pool_of(&addresses, keys)
}

/// The same, for addresses.
pub(crate) fn pool_of(addresses: &[SocketAddr], keys: &str) -> String {
    let list: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[pools.game]\nbackends = [{}]\n{keys}\n", list.join(", "))
}

/// Adds what a snippet leaves out.
pub(crate) fn complete(snippet: &str) -> String {
    let mut text = snippet.to_owned();
    if !text.contains("workers = ") {
        text = text.replace("[server]", "[server]\nworkers = 2");
    }
    if !text.contains("[server]") {
        text.push_str("\n[server]\nworkers = 2\n");
    }
    if !text.contains("[admin]") {
        text.push_str("\n[admin]\nbind = \"127.0.0.1:0\"\n");
    }
    if !text.contains("[listeners.") {
        text.push_str("\n[listeners.game]\nbind = \"127.0.0.1:0\"\npool = \"game\"\n");
    }
    text
}
