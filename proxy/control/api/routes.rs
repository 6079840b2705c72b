//! Which paths there are. The table is all that the API has: whoever adds to it adds to `docs/openapi.json`, too.

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::reply::Refusal;

/// One thing that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Dashboard,
    Healthz,
    Startupz,
    Readyz,
    DeepHealth,
    Metrics,
    Status,
    BackendState,
    BackendWeight,
    Maintenance,
    Bans,
    Ban,
    Unban,
    Events,
    Sessions,
    EndSession,
    Config,
    LogLevel,
    ConfigDiff,
    Reload,
    Drain,
}

/// A method, a path with `{names}` for the parts that differ, and what they ask for.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) endpoint: Endpoint,
}

/// What stands in the `{names}` of a path, in order.
pub(super) type Parts = Vec<String>;

const fn get(path: &'static str, endpoint: Endpoint) -> Route {
    Route { method: Method::GET, path, endpoint }
}

const fn post(path: &'static str, endpoint: Endpoint) -> Route {
    Route { method: Method::POST, path, endpoint }
}

const fn delete(path: &'static str, endpoint: Endpoint) -> Route {
    Route { method: Method::DELETE, path, endpoint }
}

/// All of them.
pub(super) static ROUTES: [Route; 21] = [
    get("/", Endpoint::Dashboard),
    get("/healthz", Endpoint::Healthz),
    get("/startupz", Endpoint::Startupz),
    get("/readyz", Endpoint::Readyz),
    get("/health/deep", Endpoint::DeepHealth),
    get("/metrics", Endpoint::Metrics),
    get("/api/v1/status", Endpoint::Status),
    post("/api/v1/pools/{pool}/backends/{address}/state", Endpoint::BackendState),
    post("/api/v1/pools/{pool}/backends/{address}/weight", Endpoint::BackendWeight),
    post("/api/v1/listeners/{name}/maintenance", Endpoint::Maintenance),
    get("/api/v1/bans", Endpoint::Bans),
    post("/api/v1/bans", Endpoint::Ban),
    delete("/api/v1/bans", Endpoint::Unban),
    get("/api/v1/events", Endpoint::Events),
    get("/api/v1/sessions", Endpoint::Sessions),
    delete("/api/v1/sessions/{id}", Endpoint::EndSession),
    get("/api/v1/config", Endpoint::Config),
    post("/api/v1/log", Endpoint::LogLevel),
    post("/api/v1/config/diff", Endpoint::ConfigDiff),
    post("/api/v1/reload", Endpoint::Reload),
    post("/api/v1/drain", Endpoint::Drain),
];

impl Endpoint {
    /// Whether everybody may ask who can connect: probes and scrapers bring no token, and call the server as they like. The
    /// dashboard holds no data, and asks for the token by itself.
    pub(super) fn is_open(self) -> bool {
        matches!(
            self,
            Self::Dashboard | Self::Healthz | Self::Startupz | Self::Readyz | Self::DeepHealth | Self::Metrics
        )
    }
}

/// What is asked for. `HEAD` is `GET`, without the answer's body.
///
/// # Errors
/// There is no such path, or not with this method.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Parts), Refusal> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let fitting: Vec<_> = ROUTES.iter().filter_map(|route| Some((route, parts(route.path, path)?))).collect();
    if fitting.is_empty() {
        let mut known: Vec<_> = ROUTES.iter().map(|route| route.path).collect();
        known.dedup();
        let error = format!("no such path; there are {}", known.join(", "));
        return Err(Refusal::new(hyper::StatusCode::NOT_FOUND, "no_such_path", error));
    }
    let mut methods: Vec<_> = fitting.iter().map(|(route, _)| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    let refused = Refusal::method(methods.join(", "));
    fitting.into_iter().find(|(route, _)| route.method == *method).ok_or(refused)
}

/// What stands in the `{names}` of a pattern; `None` if the path does not fit.
fn parts(pattern: &str, path: &str) -> Option<Parts> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut parts = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some(wanted), Some(given)) if wanted.starts_with('{') => {
                parts.push(percent_decode_str(given).decode_utf8().ok().filter(|part| !part.is_empty())?.into_owned());
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_its_method_and_its_parts() {
        let found = |method, path| find(&method, path).map(|(route, parts)| (route.endpoint, parts));
        assert_eq!(found(Method::HEAD, "/healthz").unwrap(), (Endpoint::Healthz, vec![]));
        assert_eq!(found(Method::POST, "/api/v1/reload").unwrap().0, Endpoint::Reload);
        let code = |method, path| found(method, path).unwrap_err().code();
        assert_eq!(code(Method::GET, "/healthz/"), "no_such_path");
        assert_eq!(code(Method::GET, "/api/v1/reload"), "method_not_allowed");
        assert_eq!(code(Method::OPTIONS, "/metrics"), "method_not_allowed");
    }

    #[test]
    fn parts_of_a_path_are_decoded_and_never_empty() {
        let of = |path| parts("/pools/{pool}/backends/{address}", path);
        assert_eq!(of("/pools/game/backends/%5B::1%5D%3A1").unwrap(), ["game", "[::1]:1"]);
        assert_eq!(of("/pools/a%2Fb/backends/c").unwrap(), ["a/b", "c"]);
        for other in ["/pools//backends/c", "/pools/a/backends", "/pools/a/backends/c/d", "/pools/%ff/backends/c"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
