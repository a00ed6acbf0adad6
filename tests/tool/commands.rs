//! The commands, their help and what they print in a pipe.

use common::child;

const COMMANDS: [&str; 6] = ["demo", "doctor", "token", "emulator", "soak", "completions"];

#[tokio::test]
async fn help_teaches_with_examples() {
    let run = child::tool(&["--help"], &[]).await;
    assert_eq!(run.code, Some(0));
    for command in COMMANDS {
        assert!(run.output.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{}", run.output);
        let own = child::tool(&[command, "--help"], &[]).await;
        assert_eq!((own.code, own.complaint.as_str()), (Some(0), ""), "{command}");
        let (_, examples) = own.output.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples"));
        assert!(examples.trim_start().starts_with(&format!("entra-redis {command}")), "{examples}");
        assert!(!own.output.contains('\x1b'), "there is no colour in a pipe");
    }
}

#[tokio::test]
async fn completions_are_scripts_for_shells() {
    for (shell, known) in
        [("bash", "complete -F"), ("zsh", "#compdef entra-redis"), ("fish", "complete -c entra-redis")]
    {
        let run = child::tool(&["completions", shell], &[]).await;
        assert_eq!(run.code, Some(0));
        assert!(run.output.contains(known), "{shell}");
        assert!(COMMANDS.iter().all(|command| run.output.contains(command)), "{shell}");
    }
}

/// A line an event, and three sentences at the end.
#[tokio::test]
async fn the_demo_tells_in_plain_lines_what_happens() {
    for arguments in [&["demo"][..], &["demo", "--cluster", "3", "--rotations", "1", "--tasks", "2"]] {
        let run = child::tool(arguments, &[]).await;
        assert_eq!((run.code, run.complaint.as_str()), (Some(0), ""), "{}", run.output);
        assert!(!run.output.contains(['\x1b', '\r']), "{}", run.output);
        let lines: Vec<_> = run.output.lines().collect();
        let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        let (rotations, links) = if arguments.len() == 1 { (3, 4) } else { (1, 6) };
        assert!(count("is here; the next is due in") >= rotations, "{}", run.output);
        // One may be told of after the last look.
        assert!(count("re-authenticated; ") >= rotations * (links - 1), "{}", run.output);
        let [.., gap, first, second, third] = lines.as_slice() else { panic!("{}", run.output) };
        assert!(gap.is_empty() && first.ends_with(": none failed."), "{}", run.output);
        assert!(second.starts_with("The slowest of them took ") && second.ends_with(" ms."), "{second}");
        assert!(third.contains("got every new token while in use") && third.ends_with("none was lost."), "{third}");
    }
}
