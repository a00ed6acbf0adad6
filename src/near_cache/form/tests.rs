use super::*;

fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}

#[test]
fn what_depends_on_one_key_alone_may_be_kept() {
    for line in ["GET k", "get k", "HGET k f", "HGETALL k", "EXISTS k", "LRANGE k 0 -1", "ZRANGE k 0 1 REV"] {
        assert!(matches!(Read::of(&cmd(line)), Read::Kept(query) if query.key == b"k"), "{line}");
    }
    for line in
        ["TTL k", "PTTL k", "EXISTS k l", "SRANDMEMBER k", "HSCAN k 0", "GETEX k", "GETDEL k", "SET k v", "PING"]
    {
        assert_eq!(Read::of(&cmd(line)), Read::Other, "{line}");
    }
    assert_eq!(Read::of(&cmd("MGET k l")), Read::Several);
    assert_eq!(Read::of(&cmd("MGET")), Read::Other);
    assert_eq!(Read::of(cmd("GET k").set_no_response(true)), Read::Other);
}

fn query(cmd: &Cmd) -> Query<'_> {
    match Read::of(cmd) {
        Read::Kept(query) => query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_form_is_of_one_command_and_its_arguments_alone() {
    let lines = ["GET k", "HGET k f", "HGET k ff", "HGETALL k", "HMGET k f g", "HMGET k fg", "HMGET k f", "STRLEN k"];
    for one in lines {
        for other in lines {
            let (first, second) = (cmd(one), cmd(other));
            assert_eq!(query(&first).form().is_of(query(&second)), one == other, "{one}, {other}");
        }
    }
    let (upper, lower) = (cmd("HGET k f"), cmd("hget k f"));
    assert!(query(&upper).form().is_of(query(&lower)));
    assert!(Query::get(b"k").form().is_of(query(&cmd("GET k"))));
}
