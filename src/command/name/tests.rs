use super::*;

#[test]
fn words_hold_their_bytes_without_their_case() {
    for len in 0..=8 {
        let mut expected = [0; 8];
        expected[..len].copy_from_slice(&b"ABCDEFGH"[..len]);
        for bytes in [b"ABCDEFGH", b"abcdefgh", b"aBcDeFgH"] {
            assert_eq!(word(&bytes[..len]).to_le_bytes(), expected);
        }
    }
}

#[test]
fn characters_of_names_are_the_same_in_another_case_and_as_control_characters() {
    let of_names = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"._-: ".contains(byte);
    for byte in (0..=u8::MAX).filter(of_names) {
        for other in 0..=u8::MAX {
            let same = Name::of(&[byte]) == Name::of(&[other]);
            assert!(!same || byte.eq_ignore_ascii_case(&other) || other.is_ascii_control(), "{byte} {other}");
            assert!(same || !byte.eq_ignore_ascii_case(&other), "{byte} {other}");
        }
    }
}

#[test]
fn names_differ_by_each_byte_and_by_what_they_are_under() {
    let long = *b"GEORADIUSBYMEMBER_RO_X";
    let name = Name::of(&long).unwrap();
    for at in 0..long.len() {
        let mut other = long;
        other[at] = b'~';
        assert_ne!(Name::of(&other).unwrap(), name);
        other[at] = long[at].to_ascii_lowercase();
        assert_eq!(Name::of(&other), Some(name));
        assert_ne!(Name::of(&long[..at]).unwrap(), name);
    }
    assert_eq!(Name::of(&[b'A'; Name::LONGEST + 1]), None);
    assert_ne!(name.under(0), name);
    assert_ne!(name.under(0), name.under(1));
}
