//! The dashboard at `/`: one page, and the policy that lets nothing else into it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use data_encoding::BASE64;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use ring::digest::{SHA256, digest};

use super::api::reply::{self, Answer};

const PAGE: &str = include_str!("dashboard.html");

/// The page's own script and style, known by what they are, and requests to where it came from. Nothing is loaded, framed or
/// posted, and no text becomes markup (trusted types). The page's icon stands in the page itself, as `data:`.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

static HEADERS: LazyLock<[(HeaderName, HeaderValue); 4]> = LazyLock::new(|| {
    let policy = HeaderValue::from_str(&policy(PAGE)).expect("hashes in base64 are visible ASCII");
    [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ]
});

/// The page. It holds no data, so it is for everybody: it asks for the token by itself.
pub(super) fn page() -> Answer {
    let mut answer = reply::respond(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned());
    answer.headers_mut().extend(HEADERS.iter().cloned());
    answer
}

/// What a browser is told to hold the page to.
fn policy(page: &str) -> String {
    let mut policy = POLICY.to_owned();
    for (directive, element) in [("script-src", "script"), ("style-src", "style")] {
        let _ = write!(policy, "; {directive}");
        for text in inline(page, element) {
            let hash = BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref());
            let _ = write!(policy, " 'sha256-{hash}'");
        }
    }
    policy
}

/// The texts of all elements of this name.
fn inline<'a>(page: &'a str, element: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{element}"), format!("</{element}>"));
    let text = |rest: &'a str| Some(rest.split_once('>')?.1.split_once(&end)?.0);
    page.split(&start).skip(1).filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_styles_are_known_by_their_hash() {
        let page = "<style>a</style><style media=print>b</style><p>c</p><script type=\"module\">d</script>";
        assert_eq!(inline(page, "style"), ["a", "b"]);
        assert_eq!(inline(page, "script"), ["d"]);
        // printf d | openssl dgst -sha256 -binary | base64
        let policy = policy(page);
        assert!(policy.contains("script-src 'sha256-GKw+c0PwFokMUQ6T+TUmEWnZ4/VlQ2Qpgw+vCTT0+OQ='"), "{policy}");
    }

    #[test]
    fn the_page_has_one_of_each_and_nothing_inline_besides() {
        assert_eq!((inline(PAGE, "style").len(), inline(PAGE, "script").len()), (1, 1));
        let markup = regex::Regex::new(r#"<[a-z][^>]*\s(on[a-z]+|style|src|srcdoc)="#).unwrap();
        assert_eq!(markup.find(PAGE).map(|found| found.as_str()), None);
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"] {
            let used = PAGE.replace("http://www.w3.org/2000/svg", "").contains(sink);
            assert!(!used, "{sink}");
        }
    }

    #[test]
    fn it_stays_small_enough_to_be_read() {
        assert!(PAGE.len() < 74 * 1024, "{} bytes", PAGE.len());
        assert!(PAGE.lines().all(|line| line.chars().count() <= 140), "a line is too long to be read");
    }
}
