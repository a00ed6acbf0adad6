use super::*;

#[test]
fn a_name_is_had_by_one_pool_at_a_time() {
    let (first, second) = (Name::take("names.test:1"), Name::take("names.test:1"));
    assert_eq!((&*first.0, &*second.0), ("names.test:1", "names.test:1#2"));
    drop(first);
    assert_eq!(&*Name::take("names.test:1").0, "names.test:1");
    assert_eq!(&*Name::take("names.test:2").0, "names.test:2");
}
