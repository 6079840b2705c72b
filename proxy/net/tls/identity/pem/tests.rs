use super::*;

const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
const TWO: &str = "-----BEGIN PRIVATE KEY-----\nBAUG\n-----END PRIVATE KEY-----\n";

/// Label, line and content of each block.
fn read(file: impl AsRef<[u8]>) -> Result<Vec<(String, usize, Vec<u8>)>, PemError> {
    let decode =
        |block: Block| Ok((block.label.clone(), block.line, block.decode()?.map_or(vec![], |(_, bytes)| bytes)));
    blocks(file.as_ref())?.into_iter().map(decode).collect()
}

/// The same, with the lines alone.
fn contents(file: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
    read(file).unwrap().into_iter().map(|(.., bytes)| bytes).collect()
}

#[test]
fn blocks_are_found_wherever_they_stand() {
    let both = vec![vec![1, 2, 3], vec![4, 5, 6]];
    let glued = format!("{}{TWO}", ONE.trim_end());
    let files = [
        format!("{ONE}{TWO}"),
        glued.clone(),
        glued.trim_end().to_owned(),
        format!("\u{feff}{ONE}{TWO}"),
        format!("{}\u{feff}{TWO}", ONE.trim_end()),
        format!("{ONE}{TWO}").replace('\n', "\r\n"),
        format!("{ONE}{TWO}").replace('\n', "\r"),
        format!("{ONE}{TWO}").replace('\n', " \t\n  "),
        format!("{ONE}{TWO}").replace('\n', "\n\n"),
        format!("subject=BEGIN and END, größer, a - b\n{ONE}\nBag Attributes\n    friendlyName: x\n{TWO}the end"),
        format!("# -----BEGIN CERTIFICATE-----\n#  -----END\n{ONE}  # {TWO}{TWO}").replacen(TWO, "nothing\n", 1),
        format!("cert: {ONE}key: {TWO}").replace("AQID\n", "AQ\nID"),
        format!("{ONE}{TWO}").replace('\n', ""),
    ];
    for file in files {
        assert_eq!(contents(&file), both, "{file:?}");
    }
    let latin = [b"Gr\xf6\xdfe\n", ONE.as_bytes(), TWO.as_bytes()].concat();
    assert_eq!(contents(latin), both);
    assert_eq!(contents(""), Vec::<Vec<u8>>::new());
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    for end in ["\n", "\r\n", "\r"] {
        let file = format!("\n{ONE}\n\n{TWO}").replace('\n', end);
        let lines: Vec<_> = read(&file).unwrap().into_iter().map(|(_, line, _)| line).collect();
        assert_eq!(lines, [2, 7], "{end:?}");
    }
}

#[test]
fn a_damaged_block_is_no_text_between_blocks() {
    let damaged = |from: &str, to: &str| read(format!("{ONE}{TWO}").replacen(from, to, 1)).unwrap_err();
    let certificate = || "CERTIFICATE".to_owned();
    let cases = [
        ("-----BEGIN", "----BEGIN", PemError::Mark(1)),
        ("-----END", "----END", PemError::Mark(3)),
        ("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE----", PemError::Mark(1)),
        ("END CERTIFICATE-----", "END CERTIFICATE----", PemError::Mark(3)),
        ("END CERTIFICATE-----\n-----BEGIN", "END CERTIFICATE---------BEGIN", PemError::Mark(3)),
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN -----", PemError::Mark(1)),
        ("-----BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE", PemError::NoBegin(certificate(), 3)),
        ("-----BEGIN CERTIFICATE-----\n", "", PemError::NoBegin(certificate(), 2)),
        ("-----END CERTIFICATE-----\n", "", PemError::NoEnd(certificate(), 1)),
        ("END CERTIFICATE", "END PRIVATE KEY", PemError::NoEnd(certificate(), 1)),
        ("-----END CERTIFICATE-----", "END CERTIFICATE", PemError::NoEnd(certificate(), 1)),
        ("AQID", "AQ*D", PemError::Character('*', 2)),
        ("AQID", "# AQID", PemError::Character('#', 2)),
        ("AQID", "A", PemError::Cut(certificate(), 1)),
        ("AQID", "", PemError::Cut(certificate(), 1)),
    ];
    for (from, to, error) in cases {
        assert_eq!(damaged(from, to), error, "{from:?} -> {to:?}");
    }
    let last = TWO.replace("-----END PRIVATE KEY-----\n", "");
    assert_eq!(read(format!("{ONE}{last}")), Err(PemError::NoEnd("PRIVATE KEY".to_owned(), 4)));
}

#[test]
fn what_is_no_text_is_told() {
    assert_eq!(read(b"\x30\x82\x01\x02"), Err(PemError::Binary));
    let wide: Vec<u8> = "\u{feff}-----BEGIN".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(wide), Err(PemError::WideText));
}

#[test]
fn headers_are_no_part_of_the_body() {
    let file = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\nAQID\n-----END RSA PRIVATE KEY-----";
    let found = blocks(file.as_bytes()).unwrap();
    assert!(found[0].is_encrypted && found[0].body == "AQID");
    assert!(!format!("{found:?}").contains("AQID"));
    assert!(!blocks(ONE.as_bytes()).unwrap()[0].is_encrypted);
}

#[test]
fn problems_say_where_and_what_to_do() {
    let problems = [
        PemError::Binary,
        PemError::WideText,
        PemError::Mark(7),
        PemError::NoEnd("CERTIFICATE".to_owned(), 7),
        PemError::NoBegin("CERTIFICATE".to_owned(), 7),
        PemError::Character('*', 7),
        PemError::Cut("CERTIFICATE".to_owned(), 7),
    ];
    for (index, problem) in problems.iter().enumerate() {
        assert_eq!(problem.to_string().starts_with("line 7: "), index >= 2, "{problem}");
    }
}
