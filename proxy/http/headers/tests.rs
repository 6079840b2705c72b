use super::*;

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn stripped(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = headers(list);
    strip(&mut headers);
    headers
}

#[test]
fn trailers_cannot_say_what_only_headers_may() {
    let mut trailers = headers(&[
        ("x-sum", "1"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("host", "b.example"),
        ("authorization", "Basic x"),
        ("x-forwarded-for", "192.0.2.9"),
        ("forwarded", "for=192.0.2.9"),
        ("x-request-id", "1"),
        ("x_forwarded-for", "192.0.2.9"),
        ("expect", "100-continue"),
    ]);
    strip_trailers(&mut trailers);
    assert_eq!(trailers, headers(&[("x-sum", "1")]));
}

#[test]
fn what_concerns_one_connection_is_taken_out() {
    let list = [
        ("connection", "keep-alive, X-Secret"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ("te", "gzip;q=0.5"),
        ("x-secret", "1"),
        ("host", "a"),
        ("trailer", "x-sum"),
    ];
    assert_eq!(stripped(&list), headers(&[("host", "a"), ("trailer", "x-sum")]));
    assert_eq!(stripped(&[("te", "gzip, Trailers;q=1")]), headers(&[("te", "trailers")]));
}

#[test]
fn what_this_proxy_says_itself_has_no_second_name() {
    let list = [
        ("x_forwarded_for", "192.0.2.9"),
        ("x-forwarded_host", "b"),
        ("x_request-id", "1"),
        ("x_own", "2"),
        ("x-forwarded-for", "3"),
    ];
    assert_eq!(stripped(&list), headers(&list[3..]));
}

#[test]
fn nobody_is_asked_whether_a_body_may_come() {
    assert_eq!(stripped(&[("expect", "100-continue"), ("host", "a")]), headers(&[("host", "a")]));
}

#[test]
fn a_client_cannot_have_taken_out_who_it_is() {
    let list = [
        ("connection", "x-forwarded-for, forwarded, trailer, host, x-request-id"),
        ("x-forwarded-for", "1"),
        ("trailer", "a"),
        ("host", "b"),
        ("x-request-id", "2"),
    ];
    assert_eq!(stripped(&list), headers(&list[1..]));
}

static A_HOST: HeaderValue = HeaderValue::from_static("a.example:443");

fn introduced(headers: &mut HeaderMap, client: &str, is_trusted: bool, host: Option<&HeaderValue>, forwarded: bool) {
    let written = HeaderValue::from_str(client).unwrap();
    let client = client.parse().unwrap();
    introduce(headers, &Source { client, written: &written, scheme: "https", host, is_trusted }, forwarded);
}

const TOLD: [(&str, &str); 4] = [
    ("x-forwarded-for", "192.0.2.9"),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-host", "evil"),
    ("forwarded", "for=192.0.2.9"),
];

#[test]
fn proxies_sign_one_after_the_other() {
    let (via, mut signed) = (Via::new("portti").unwrap(), headers(&[("via", "1.0 first")]));
    via.sign(&mut signed, Version::HTTP_11);
    via.sign(&mut signed, Version::HTTP_2);
    assert_eq!(joined(&signed, &VIA).as_deref(), Some("1.0 first, 1.1 portti, 2 portti"));
    assert!(Via::new("two\nlines").is_none());
}

#[test]
fn strangers_are_not_believed() {
    let mut told = headers(&TOLD);
    introduced(&mut told, "198.51.100.7", false, Some(&A_HOST), false);
    let expected =
        [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example:443")];
    assert_eq!(told, headers(&expected));
}

#[test]
fn what_only_proxies_say_of_clients_is_kept_of_trusted_ones_alone() {
    let list = [
        ("x-real-ip", "192.0.2.9"),
        ("proxy", "http://evil"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/evil"),
        ("true-client-ip", "192.0.2.9"),
        ("x-client-version", "7"),
    ];
    for (is_trusted, kept) in [(true, &list[..]), (false, &list[5..])] {
        let mut told = headers(&list);
        introduced(&mut told, "198.51.100.7", is_trusted, None, false);
        for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO] {
            told.remove(name);
        }
        assert_eq!(told, headers(kept), "{is_trusted}");
    }
    assert!(stripped(&[("x_real_ip", "192.0.2.9"), ("connection", "x-real-ip")]).is_empty());
}

#[test]
fn who_is_trusted_is_added_to() {
    let mut told = headers(&TOLD);
    told.append(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.10"));
    introduced(&mut told, "2001:db8::1", true, Some(&A_HOST), true);
    let expected = [
        ("x-forwarded-for", "192.0.2.9, 192.0.2.10, 2001:db8::1"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=192.0.2.9, for=\"[2001:db8::1]\";proto=https;host=\"a.example:443\""),
    ];
    assert_eq!(told, headers(&expected));
    let mut nobody = HeaderMap::new();
    introduced(&mut nobody, "192.0.2.1", true, None, true);
    assert_eq!(nobody.get(FORWARDED).unwrap(), "for=192.0.2.1;proto=https");
    assert!(!nobody.contains_key(X_FORWARDED_HOST));
}
