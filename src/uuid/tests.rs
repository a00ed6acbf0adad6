use super::*;
use std::collections::HashSet;

#[test]
fn each_is_another_one_in_the_usual_form() {
    let all: HashSet<_> = (0..200).map(|_| random().unwrap()).collect();
    assert_eq!(all.len(), 200);
    for text in &all {
        let parts: Vec<_> = text.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{text}");
        assert!(parts.concat().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{text}");
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{text}");
    }
    // Every other digit is random.
    for at in (0..36).filter(|at| ![8, 13, 14, 18, 19, 23].contains(at)) {
        assert!(all.iter().map(|text| text.as_bytes()[at]).collect::<HashSet<_>>().len() > 8, "digit {at}");
    }
}
