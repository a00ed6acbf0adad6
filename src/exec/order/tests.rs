use super::*;
use crate::admission::Admission;
use std::time::Duration;

/// Each part begins with what the whole has: one that has sent nothing over a link must not undo what another one has
/// noted of it.
#[tokio::test]
async fn of_the_notes_about_one_link_the_newest_stays() {
    let (near, _far) = tokio::io::duplex(64);
    let link = Arc::new(Link::over(1, near, Admission::new(1), Duration::from_secs(60)));
    let memory = |through| Memory {
        unanswered: vec![Unanswered { node: Weak::new(), link: Arc::downgrade(&link), through, since: Instant::now() }],
        ..Memory::default()
    };
    let mut whole = memory(50);
    for part in [memory(60), memory(50)] {
        whole.join(part);
    }
    assert_eq!(whole.unanswered.iter().map(|note| note.through).collect::<Vec<_>>(), [60]);
}
