use super::*;
use redis::Value;

#[test]
fn refusals_are_told_from_errors_of_commands() {
    let remedy = |line: &str| match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
        Ok(Value::ServerError(error)) => super::remedy(&error),
        other => panic!("{other:?}"),
    };
    for (line, expected) in [
        ("NOAUTH Authentication required.", Some(Remedy::Elsewhere)),
        ("NOAUTH HELLO must be called with the client already authenticated", None),
        ("LOADING Redis is loading the dataset in memory", Some(Remedy::Later)),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Some(Remedy::Later)),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Some(Remedy::Later)),
        ("READONLY You can't write against a read only replica.", Some(Remedy::Reconnect)),
        ("OOM command not allowed when used memory > 'maxmemory'.", None),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", None),
        ("EXECABORT Transaction discarded because of previous errors.", None),
        ("NOPERM this user has no permissions", None),
    ] {
        assert_eq!(remedy(line), expected, "{line}");
    }
}
