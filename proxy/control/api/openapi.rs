//! `docs/openapi.json` and the code name the same paths, methods and error codes. Whether answers are as it says,
//! `integration/cases/api_schema.sh` finds out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::routes::ROUTES;

fn document() -> Value {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let named = |(path, methods)| {
        let methods: &Map<String, Value> = Value::as_object(methods).unwrap();
        methods.iter().map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    };
    document["paths"].as_object().unwrap().iter().flat_map(named).collect()
}

/// A value and all that stands in it.
fn all_in(value: &Value) -> Vec<&Value> {
    let inner: Vec<_> = match value {
        Value::Array(values) => values.iter().flat_map(all_in).collect(),
        Value::Object(values) => values.values().flat_map(all_in).collect(),
        _ => Vec::new(),
    };
    std::iter::once(value).chain(inner).collect()
}

/// The codes that answers have: what schemas allow for the key `code`.
fn codes(document: &Value) -> BTreeSet<&str> {
    let codes = all_in(document).into_iter().filter_map(|value| value["properties"].get("code"));
    let allowed = codes.flat_map(|code| code["enum"].as_array().into_iter().flatten().chain(code.get("const")));
    allowed.filter_map(Value::as_str).collect()
}

/// The codes of the refusals that a source makes: the texts behind `new(StatusCode::…,` and `no_such(`.
fn codes_in(source: &str) -> Vec<&str> {
    let made = source.split("::new(").skip(1).filter_map(|call| {
        let status = call.trim_start().trim_start_matches("hyper::").strip_prefix("StatusCode::")?;
        status.split_once(',').map(|(_, arguments)| arguments)
    });
    let named = source.split("::no_such(").skip(1);
    made.chain(named).filter_map(|arguments| arguments.trim_start().strip_prefix('"')?.split('"').next()).collect()
}

#[test]
fn it_has_the_paths_that_there_are() {
    let document = document();
    let told: BTreeSet<_> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let there: BTreeSet<_> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(told, there);
}

#[test]
fn the_page_for_people_has_them_too() {
    let page = include_str!("../../../docs/api.md");
    for route in &ROUTES {
        let words = format!("| `{} {}` |", route.method, route.path);
        assert!(page.contains(&words), "docs/api.md has no row {words}");
    }
}

#[test]
fn it_says_who_must_bring_the_token() {
    let document = document();
    for (name, operation) in operations(&document) {
        let route = ROUTES.iter().find(|route| name == format!("{} {}", route.method, route.path)).unwrap();
        let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(is_open, route.endpoint.is_open(), "{name}");
        for refused in ["401", "403", "421"] {
            assert_eq!(operation["responses"].get(refused).is_some(), !is_open, "{name}: {refused}");
        }
    }
}

#[test]
fn it_has_the_error_codes_that_there_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy/control/api");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let others = files.filter(|file| !file.ends_with("openapi.rs"));
    let sources: String = others.map(|file| fs::read_to_string(file).unwrap()).collect();
    let mut there: BTreeSet<_> = codes_in(&sources).into_iter().collect();
    // OpenAPI knows no answer for a method that there is not; the introduction tells of it.
    assert!(there.remove("method_not_allowed"));
    assert_eq!(codes(&document()), there);
}

#[test]
fn what_it_refers_to_is_there() {
    let document = document();
    let named = all_in(&document).into_iter().filter_map(|value| value.get("$ref")?.as_str()).collect::<BTreeSet<_>>();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(document.pointer(name.strip_prefix('#').unwrap()).is_some(), "{name}");
    }
}
