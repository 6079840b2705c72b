use super::*;

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn one_header_that_can_be_understood_is_a_place() {
    assert_eq!(told(&headers(&[("traceparent", PARENT)])).unwrap().to_string(), PARENT);
    assert_eq!(told(&headers(&[])), None);
    assert_eq!(told(&headers(&[("traceparent", "00-no")])), None);
    assert_eq!(told(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)])), None);
}

#[test]
fn hosts_are_told_without_their_ports() {
    for (host, expected) in [
        ("a.example", ("a.example", None)),
        ("a.example:8080", ("a.example", Some(8080))),
        ("a.example:", ("a.example", None)),
        ("[::1]", ("::1", None)),
        ("[::1]:80", ("::1", Some(80))),
    ] {
        assert_eq!(host_and_port(host), expected, "{host}");
    }
}

#[test]
fn what_clients_make_up_names_no_span() {
    assert_eq!(known(&Method::PATCH), ("PATCH", "PATCH"));
    assert_eq!(known(&"FROB".parse().unwrap()), (OTHER, "HTTP"));
}
