use super::matches;

#[test]
fn patterns_match_as_in_redis() {
    for (pattern, text) in [
        ("", ""),
        ("*", "x"),
        ("[a-]", "]"),
        ("h?llo", "hello"),
        ("h*llo", "heeello"),
        ("h[ae]llo", "hallo"),
        ("h[^e]llo", "hbllo"),
        ("h[a-b]llo", "hbllo"),
        (r"a\*b", "a*b"),
        ("a*b*c", "axxbxxc"),
        ("[a", "a"),
        (r"[\]]", "]"),
    ] {
        assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("", "a"),
        ("*", ""),
        ("h?llo", "hllo"),
        ("h[^e]llo", "hello"),
        (r"a\*b", "axb"),
        ("a*b", "axc"),
        ("[", "x"),
        ("a\\", "b"),
    ] {
        assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
    }
    assert!(!matches("a*".repeat(40).as_bytes(), "a".repeat(39).as_bytes()));
}
