use super::*;

#[test]
fn cursors_are_read_from_commands_and_put_into_them() {
    // A key may look like the rest of a command.
    for (name, key, at) in [("SCAN", None, 1), ("HSCAN", Some("k"), 2), ("HSCAN", Some("\r\n$1\r\n7\r\n"), 2)] {
        let command = || {
            let mut cmd = redis::cmd(name);
            cmd.arg(key);
            cmd
        };
        let mut counted = command();
        counted.cursor_arg(12_345).arg("MATCH").arg("a*\n$9");
        let mut plain = command();
        plain.arg(12_345).arg("MATCH").arg("a*\n$9");
        for cmd in [&counted, &plain] {
            assert_eq!(cursor_of(cmd, at), Some(12_345));
            let expected = command().arg(u64::MAX).arg("MATCH").arg("a*\n$9").get_packed_command();
            assert_eq!(with_cursor(cmd, at, u64::MAX).get_packed_command(), expected);
        }
        assert_eq!(cursor_of(command().arg(u64::MAX), at), Some(u64::MAX));
        for wrong in ["", "x", "-1", "+1", "18446744073709551616", "1 "] {
            assert_eq!(cursor_of(command().arg(wrong), at), None, "{wrong:?}");
        }
        assert_eq!(cursor_of(&command(), at), None);
    }
}
