use super::*;

#[test]
fn errors_of_redis_go_by_their_codes_as_far_as_those_are_known() {
    assert_eq!(known_code("WRONGTYPE"), "WRONGTYPE");
    assert_eq!(known_code("A-SCRIPTS-OWN"), "_OTHER");
    assert_eq!(known_code(""), "_OTHER");
}
