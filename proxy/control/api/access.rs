//! Who may ask, beside what the operating system has to say of it: whoever knows the token, and no page of another site.
//!
//! A browser can be led to ask whoever listens on this machine. By a name that its owner has come to stand for this machine (DNS
//! rebinding) the page may even read the answers; so the server must have been asked by a name that it knows. And by a form it
//! may act without reading; so what says where it comes from (`Origin`) must come from the server's own page.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{StatusCode, Uri};

use super::reply::Refusal;
use crate::config::model::AdminServer;
use crate::config::scalar::canonical_host;

/// Whether a request with this target and these headers may be answered.
///
/// # Errors
/// Why not.
pub(super) fn check((target, headers): (&Uri, &HeaderMap), server: &AdminServer) -> Result<(), Refusal> {
    for name in [HOST, ORIGIN, AUTHORIZATION] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(Refusal::bad_request(format!("the header {name} may be there once")));
        }
    }
    let host = text(headers, &HOST).unwrap_or_default();
    // What a target of absolute form names is what is asked for, whatever the header says (RFC 9112, 3.2.2).
    if target.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
        return Err(Refusal::bad_request("the request's target names another host than the header host"));
    }
    if !is_known(host, server) {
        let error = format!(
            "the admin server does not go by the name {host:?}: ask by address, or add the name to [admin] hosts in the config"
        );
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", error));
    }
    if text(headers, &ORIGIN).is_some_and(|origin| !is_own(origin, host)) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "wrong_origin", "pages of other sites may not ask here"));
    }
    match &server.token {
        Some(token) if !said(headers).is_some_and(|said| token.is(said.as_bytes())) => {
            let error = "say the token that [admin] token_file holds: the header \"Authorization: Bearer TOKEN\"";
            Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", error))
        }
        _ => Ok(()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// The token that a request says (RFC 6750, 2.1).
fn said(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Whether the server goes by this name. Addresses can be told by no name server, so each of them will do.
fn is_known(host: &str, server: &AdminServer) -> bool {
    let name = without_port(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if address.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = canonical_host(name);
    name == "localhost" || server.hosts.iter().any(|hosts| hosts.contain(&name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a page comes from this server itself, or from in front of it where something else speaks TLS for it.
fn is_own(origin: &str, host: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::model::Token;

    const WORD: &str = "0123456789abcdef";

    fn server(token: Option<&str>) -> AdminServer {
        AdminServer {
            bind: None,
            token_file: None,
            token: token.map(|word| Arc::new(Token::read(word.as_bytes()).unwrap())),
            hosts: vec!["portti.example.com".parse().unwrap(), "*.inside".parse().unwrap()],
        }
    }

    /// The code of the refusal, if it is one.
    fn asked(server: &AdminServer, headers: &[(HeaderName, &str)]) -> Option<&'static str> {
        asked_of(server, "/", headers)
    }

    fn asked_of(server: &AdminServer, target: &str, headers: &[(HeaderName, &str)]) -> Option<&'static str> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        check((&target.parse().unwrap(), &headers), server).err().map(|refusal| refusal.code())
    }

    #[test]
    fn it_is_asked_by_one_name_and_no_other() {
        let (own, evil) = ((HOST, "localhost"), (HOST, "evil.example"));
        for headers in [[own.clone(), evil.clone()], [own.clone(), own.clone()], [evil.clone(), own.clone()]] {
            assert_eq!(asked(&server(None), &headers), Some("bad_request"), "{headers:?}");
        }
        for name in [ORIGIN, AUTHORIZATION] {
            let headers = [own.clone(), (name.clone(), "http://localhost"), (name, "http://localhost")];
            assert_eq!(asked(&server(None), &headers), Some("bad_request"), "{headers:?}");
        }
        for (target, host, expected) in [
            ("http://localhost/", own.clone(), None),
            ("http://LOCALHOST/", own.clone(), None),
            ("http://evil.example/", own.clone(), Some("bad_request")),
            ("http://localhost:9900/", own.clone(), Some("bad_request")),
            ("http://localhost/", evil.clone(), Some("bad_request")),
            ("http://evil.example/", evil, Some("wrong_host")),
        ] {
            assert_eq!(asked_of(&server(None), target, &[host]), expected, "{target}");
        }
        assert_eq!(asked_of(&server(None), "http://localhost/", &[]), Some("bad_request"));
    }

    #[test]
    fn it_goes_by_addresses_and_the_names_that_it_was_given() {
        let known = [
            "127.0.0.1",
            "127.0.0.1:9900",
            "[::1]:9900",
            "[::1]",
            "10.1.2.3",
            "localhost:9900",
            "LOCALHOST.",
            "a.b.inside",
        ];
        for host in known.iter().chain(&["Portti.Example.com", "portti.example.com.:80"]) {
            assert_eq!(asked(&server(None), &[(HOST, host)]), None, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "inside",
            "127.0.0.1.evil.example",
            "127.0.0.1:x",
            "[::1]evil",
        ] {
            assert_eq!(asked(&server(None), &[(HOST, host)]), Some("wrong_host"), "{host}");
        }
        assert_eq!(asked(&server(None), &[]), Some("wrong_host"));
    }

    #[test]
    fn pages_of_others_may_not_ask() {
        let from = |origin| asked(&server(None), &[(HOST, "127.0.0.1:9900"), (ORIGIN, origin)]);
        assert_eq!((from("http://127.0.0.1:9900"), from("https://127.0.0.1:9900")), (None, None));
        for other in ["null", "http://127.0.0.1", "http://127.0.0.1:9901", "https://evil.example", "127.0.0.1:9900", ""]
        {
            assert_eq!(from(other), Some("wrong_origin"), "{other}");
        }
    }

    #[test]
    fn whoever_knows_the_token_may_ask() {
        let said = |word: &str| asked(&server(Some(WORD)), &[(HOST, "localhost"), (AUTHORIZATION, word)]);
        assert_eq!((said(&format!("Bearer {WORD}")), said(&format!("bearer  {WORD}"))), (None, None));
        for other in ["", WORD, "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef"] {
            assert_eq!(said(other), Some("unauthorized"), "{other}");
        }
        assert_eq!(asked(&server(Some(WORD)), &[(HOST, "localhost")]), Some("unauthorized"));
        assert_eq!(asked(&server(None), &[(HOST, "localhost"), (AUTHORIZATION, "Bearer x")]), None, "there is none");
    }
}
