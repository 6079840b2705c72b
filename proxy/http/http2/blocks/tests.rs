use super::*;

/// A field with a literal name and value; kept or not.
fn field(is_kept: bool, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![if is_kept { 0x40 } else { 0 }];
    for text in [name, value] {
        write_text(&mut out, b'?', text.len());
        let at = out.len() - text.len();
        out[at..].copy_from_slice(text);
    }
    out
}

fn read(block: &[u8]) -> Block {
    Blocks::default().read(block, false)
}

#[test]
fn fields_are_sound_or_not() {
    for (name, value, expected) in [
        (&b"x"[..], &b"y"[..], true),
        (b"x", b"", true),
        (b"x", b"caf\xe9 \t", true),
        (b":path", b"/", true),
        (b":method", b"GET", true),
        (b":status", b"200", true),
        (b"X-Upper", b"1", false),
        (b"x y", b"1", false),
        (b"x:", b"1", false),
        (b":x", b"1", false),
        (b"x", b"a\x01", false),
        (b"x", b"a\nb", false),
        (b"x", b"\x7f", false),
        (b":path", b"/\xff", false),
        (b":authority", b"\xff", false),
        (b":method", b"G T", false),
        (b":status", b"2x0", false),
    ] {
        for is_kept in [false, true] {
            let found = read(&field(is_kept, name, value)) == Block::Sound;
            assert_eq!(found, expected, "{name:?} {value:?}");
        }
    }
    assert_eq!(Blocks::default().read(&field(false, b":path", b"/"), true), Block::Malformed(REFUSED.to_vec()));
    assert_eq!(Blocks::default().read(&[0x84], true), Block::Malformed(REFUSED.to_vec()));
    assert_eq!(Blocks::default().read(&field(false, b"x-sum", b"1"), true), Block::Sound);
}

#[test]
fn what_is_kept_of_a_malformed_block_takes_as_much_room() {
    let block =
        [&[0x82][..], &field(true, b"good", b"1"), &field(true, b"Bad", b"12"), &field(true, b"bad", b"\x01\x02\x03")]
            .concat();
    let expected =
        [&field(true, b"good", b"1")[..], &field(true, b"xxx", b"xx"), &field(true, b"bad", b"xxx"), REFUSED].concat();
    let mut blocks = Blocks::default();
    assert_eq!(blocks.read(&block, false), Block::Malformed(expected));
    // The newest first: each may be meant by later blocks.
    assert_eq!(blocks.read(&[0x80 | 64], false), Block::Sound);
    assert_eq!(blocks.read(&[0x80 | 62], false), Block::Malformed(REFUSED.to_vec()), "a bad value");
    assert_eq!(blocks.read(&[0x0f, 62 - 15, 1, b'y'], false), Block::Sound, "its name with a good one");
    assert_eq!(blocks.read(&[0x0f, 63 - 15, 1, b'y'], false), Block::Malformed(REFUSED.to_vec()), "a bad name");
    assert_eq!(blocks.read(&[0x80 | 65], false), Block::Unreadable);
    assert_eq!(blocks.size, [4 + 1, 3 + 2, 3 + 3].iter().map(|length| length + OVERHEAD).sum::<usize>());
}

#[test]
fn the_table_is_bounded() {
    let mut blocks = Blocks::default();
    for _ in 0..1000 {
        assert_eq!(blocks.read(&field(true, b"name", &[b'v'; 100]), false), Block::Sound);
    }
    assert_eq!(blocks.table.len(), TABLE_MAX / (4 + 100 + OVERHEAD));
    // What is larger than the table empties it.
    assert_eq!(blocks.read(&field(true, b"name", &[b'v'; 5000]), false), Block::Sound);
    assert_eq!((blocks.table.len(), blocks.size), (0, 0));
    assert_eq!(blocks.read(&[0x20], false), Block::Sound);
    assert_eq!(blocks.read(&field(true, b"a", b"b"), false), Block::Sound);
    assert_eq!(blocks.table.len(), 0);
    assert_eq!(blocks.read(&[0x3f, 0xe2, 0x1f], false), Block::Unreadable, "4097");
}

#[test]
fn what_ends_too_early_cannot_be_read() {
    for block in [
        &[0x40][..],
        &[0x40, 1],
        &[0x40, 1, b'a', 5, b'b'],
        &[0xff],
        &[0x7f, 0xff, 0xff, 0xff, 0xff],
        &[0x80],
        &[0x40, 0, 0],
    ] {
        assert_eq!(read(block), Block::Unreadable, "{block:?}");
    }
}

proptest::proptest! {
    /// Whatever comes: who reads what is given in place of it has the same table.
    #[test]
    fn the_table_behind_is_the_same(
        blocks in proptest::collection::vec(
            proptest::collection::vec((0_u8..4, 0_usize..80, "[a-zA-Z:]{0,3}", proptest::collection::vec(0_u8..255, 0..5)), 0..6),
            1..12,
        )
    ) {
        let (mut here, mut there) = (Blocks::default(), Blocks::default());
        for fields in blocks {
            let mut block = Vec::new();
            for (kind, index, name, value) in fields {
                match kind {
                    0 => block.extend(field(true, name.as_bytes(), &value)),
                    1 => block.extend(field(false, name.as_bytes(), &value)),
                    2 => block.push(0x80 | u8::try_from(index).unwrap()),
                    _ => {
                        // Kept, with the name of another; of few bytes, or of many.
                        let index = u8::try_from(index).unwrap();
                        block.extend(if index < 63 { vec![0x40 | index] } else { vec![0x7f, index - 63] });
                        block.push(u8::try_from(value.len()).unwrap());
                        block.extend(&value);
                    }
                }
            }
            match here.read(&block, false) {
                Block::Sound => proptest::prop_assert_eq!(there.read(&block, false), Block::Sound),
                Block::Malformed(other) => {
                    let found = there.read(&other, false);
                    proptest::prop_assert_eq!(found, Block::Sound, "nothing in it but what is sound: {:?}", other);
                }
                Block::Unreadable => return Ok(()),
            }
            let sizes = |blocks: &Blocks| blocks.table.iter().map(|entry| entry.size).collect::<Vec<_>>();
            proptest::prop_assert_eq!(sizes(&here), sizes(&there));
        }
    }
}
