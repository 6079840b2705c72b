//! Reads the admin address, as a probe, a scraper or a person would.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::soon;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With small letters in the names.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// `GET path`.
pub(crate) async fn get(admin: SocketAddr, path: &str) -> Answer {
    ask(admin, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")).await
}

/// A request with these headers and this body.
pub(crate) async fn ask_with(
    admin: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}"
    );
    ask(admin, &format!("{head}\r\n{body}")).await
}

/// Sends a request as it is written, and reads the answer until the server closes.
pub(crate) async fn ask(admin: SocketAddr, request: &str) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = soon("an answer of the admin server", exchange).await.expect("an HTTP exchange");
    parse(&answer).unwrap_or_else(|| panic!("not an HTTP answer: {answer:?}"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    };
    Some(Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The samples of one scrape.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Vec<Sample>);

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the Prometheus text form.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(samples.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect())
    }

    /// The samples of this name that have (at least) these labels, added up. There must be one: a name that does not
    /// exist is not 0.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        assert!(self.has(name, labels), "no sample {name} with {labels:?}");
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    /// How many sessions have ended for each reason, for what a test says when it fails.
    pub(crate) fn reasons(&self) -> Vec<(&str, f64)> {
        let ended = self.matching("portti_sessions_total", &[]).filter(|sample| sample.value > 0.0);
        ended.map(|sample| (sample.labels["reason"].as_str(), sample.value)).collect()
    }

    pub(crate) fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    /// The values of a label.
    pub(crate) fn values_of(&self, label: &str) -> Vec<&str> {
        self.0.iter().filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }

    /// Every series with its value.
    pub(crate) fn series(&self) -> impl Iterator<Item = (String, f64)> {
        self.0.iter().map(|sample| (format!("{}{:?}", sample.name, sample.labels), sample.value))
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        let fits =
            |sample: &Sample| labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|is| is == value));
        self.0.iter().filter(move |sample| sample.name == name && fits(sample))
    }
}

/// `name{label="value",...} 1.5`; none of this proxy's values has a quote or a comma in it.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let pairs = labels.strip_suffix('}')?.split(',').filter(|pair| !pair.is_empty());
    let labels = pairs.map(|pair| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.strip_suffix('"')?.to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value: value.parse().ok()? })
}
