use super::words;

#[test]
fn words_are_parted_as_in_redis() {
    for (line, expected) in [
        ("", &[][..]),
        ("  \t ", &[]),
        ("GET k\r", &["GET", "k"]),
        (r#"SET k "a b" 'c d'"#, &["SET", "k", "a b", "c d"]),
        (r#"SET "" ''"#, &["SET", "", ""]),
        (r#""\x41\n\"\\\q" "#, &["A\n\"\\q"]),
        (r"'it\'s \n'", &[r"it's \n"]),
        (r#"a"b c""#, &["ab c"]),
        (r#""\x4g""#, &["x4g"]),
    ] {
        let found = words(line.as_bytes()).unwrap();
        assert_eq!(found, expected.iter().map(|word| word.as_bytes()).collect::<Vec<_>>(), "{line}");
    }
    for line in [r#"SET k "a"#, "SET k 'a", r#"SET k "a"b"#, "'a'b", r#""\""#] {
        assert_eq!(words(line.as_bytes()), None, "{line}");
    }
}
