use super::*;

fn sum_of(a: &str, b: &str) -> String {
    LongDouble::parse(a.as_bytes()).unwrap().plus(LongDouble::parse(b.as_bytes()).unwrap()).unwrap().text()
}

/// What `INCRBYFLOAT` of a real server makes of the two.
#[test]
fn sums_are_redis_s() {
    for (a, b, sum) in [
        ("0.1", "0.2", "0.3"),
        ("3", "0.1", "3.1"),
        ("10.5", "-10.5", "0"),
        ("5.0e3", "200", "5200"),
        ("1", "1e-17", "1.00000000000000001"),
        ("1", "1e-20", "1"),
        ("-1e-30", "0", "0"),
        ("0x1p3", "0x.8", "8.5"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551616", "1", "18446744073709551616"),
        (".5", "5.", "5.5"),
        ("+1", "-0", "1"),
        ("123456789.123456789", "0.000000001", "123456789.12345678999554366"),
    ] {
        assert_eq!(sum_of(a, b), sum, "{a} + {b}");
    }
    assert_eq!(sum_of("1e308", "1e308").len(), 309);
    assert_eq!(sum_of("1e4932", "0").len(), 4933);
}

#[test]
fn what_is_no_number_is_none() {
    for text in [
        "",
        " ",
        " 1",
        "1 ",
        "abc",
        "1e",
        "1e+",
        "1x",
        "0x",
        "0xg",
        "nan",
        "-nan",
        "1.2.3",
        ".",
        "-",
        "+",
        "1e5000",
        "1e-5000",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "1\0",
        "--1",
        "infinit",
    ] {
        assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
    }
    assert!(LongDouble::parse("1".repeat(LONGEST).as_bytes()).is_none());
    assert_eq!(sum_of("0e99999999999999999999", "0e-99999999999999999999"), "0");
    for infinite in ["inf", "-inf", "+Infinity", "INF"] {
        assert!(!LongDouble::parse(infinite.as_bytes()).unwrap().is_finite(), "{infinite}");
    }
    let infinity = |text: &[u8]| LongDouble::parse(text).unwrap();
    assert!(infinity(b"inf").plus(infinity(b"-inf")).is_none());
    assert!(!infinity(b"1e4932").plus(infinity(b"9e4931")).unwrap().plus(infinity(b"1e4932")).unwrap().is_finite());
}

proptest::proptest! {
    /// A number that an `f64` holds exactly is the same one here, and back.
    #[test]
    fn whole_numbers_stay_what_they_are(a in -(1_i64 << 61)..1 << 61, b in -(1_i64 << 61)..1 << 61) {
        proptest::prop_assert_eq!(sum_of(&a.to_string(), &b.to_string()), (a + b).to_string());
    }

    #[test]
    fn any_text_is_a_number_or_none(text in "[-+]?(0x)?[0-9a-f.]{0,40}([ep][-+]?[0-9]{0,6})?") {
        if let Some(number) = LongDouble::parse(text.as_bytes()) {
            _ = number.plus(number).map(LongDouble::text);
        }
    }
}
