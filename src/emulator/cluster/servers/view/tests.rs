use super::*;

#[test]
fn every_kind_of_line_is_read() {
    let view = read(
        "a 127.0.0.1:7001@17001 myself,master - 0 1 2 connected 0-5460 5462 [5461->-b]\n\
         b 127.0.0.1:7002@17002,host master,fail - 0 1 2 connected 5461-16383\n\
         c 127.0.0.1:7003@17003 slave a 0 1 2 disconnected\nnonsense\n\n",
    );
    let ports: Vec<_> = view.values().map(|member| member.port).collect();
    assert_eq!(ports, [7001, 7002, 7003]);
    assert_eq!(view["a"].slots, [0..=5460, 5462..=5462]);
    assert!(view["a"].owns(5462) && !view["a"].owns(5461));
    assert_eq!(view["b"].slots, [5461..=16383]);
    assert_eq!(view["c"].primary.as_deref(), Some("a"));
    assert_eq!(view.values().map(|member| member.healthy).collect::<Vec<_>>(), [true, false, false]);
}
