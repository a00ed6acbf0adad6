use super::*;
use std::future::poll_fn;

/// Reads until as much has come, or the stream ends; how often it was read.
async fn fill(inbox: &mut Inbox, mut stream: &[u8], len: usize) -> usize {
    let mut reads = 0;
    while inbox.bytes().len() < len {
        let before = inbox.bytes().len();
        let came = poll_fn(|cx| inbox.fill(Pin::new(&mut stream), cx)).await.unwrap();
        assert_eq!(inbox.bytes().len(), before + came);
        if came == 0 {
            break;
        }
        reads += 1;
    }
    reads
}

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn bytes_come_in_order_and_are_consumed_from_the_front() {
    let mut inbox = Inbox::new();
    assert!(inbox.bytes().is_empty());
    assert_eq!(fill(&mut inbox, b"abcdef", 6).await, 1);
    inbox.consume(2);
    assert_eq!(inbox.bytes(), b"cdef");
    fill(&mut inbox, b"ghi", 7).await;
    assert_eq!(inbox.bytes(), b"cdefghi");
    inbox.consume(7);
    assert!(inbox.bytes().is_empty());
    assert_eq!((inbox.from, inbox.to), (0, 0), "there is all of the room again");
}

/// A large reply takes few reads, and a small one no more than its room.
#[tokio::test]
async fn room_doubles_for_what_is_large() {
    let mut inbox = Inbox::new();
    let sent = numbered(200_000);
    let reads = fill(&mut inbox, &sent, sent.len()).await;
    assert_eq!(inbox.bytes(), sent);
    assert_eq!((inbox.buffer.len(), reads), (16 * FIRST_ROOM, 5), "16, 32, 64, 128 and 256 KiB");
}

#[tokio::test]
async fn what_is_consumed_makes_room_before_more_is_taken() {
    let mut inbox = Inbox::new();
    let sent = numbered(FIRST_ROOM);
    fill(&mut inbox, &sent, FIRST_ROOM).await;
    inbox.consume(FIRST_ROOM / 2 + 1);
    fill(&mut inbox, b"next", FIRST_ROOM / 2 + 3).await;
    assert_eq!(inbox.bytes(), [&sent[FIRST_ROOM / 2 + 1..], b"next"].concat());
    assert_eq!(inbox.buffer.len(), FIRST_ROOM);
    // As long as little is consumed, to move the rest would cost more than it gains.
    let mut inbox = Inbox::new();
    fill(&mut inbox, &sent, FIRST_ROOM).await;
    inbox.consume(FIRST_ROOM / 2);
    fill(&mut inbox, b"next", FIRST_ROOM / 2 + 4).await;
    assert_eq!(inbox.bytes(), [&sent[FIRST_ROOM / 2..], b"next"].concat());
    assert_eq!(inbox.buffer.len(), 2 * FIRST_ROOM);
}

#[tokio::test]
async fn room_for_what_was_very_large_is_given_back() {
    let mut inbox = Inbox::new();
    let sent = numbered(LARGEST_IDLE_BUFFER + 1);
    fill(&mut inbox, &sent, sent.len()).await;
    inbox.consume(sent.len() - 1);
    assert_eq!(inbox.bytes(), &sent[sent.len() - 1..]);
    inbox.consume(1);
    assert_eq!(inbox.buffer.capacity(), 0);
    fill(&mut inbox, &sent, LARGEST_IDLE_BUFFER).await;
    assert_eq!(inbox.buffer.len(), LARGEST_IDLE_BUFFER);
    inbox.consume(LARGEST_IDLE_BUFFER);
    assert_eq!(inbox.buffer.len(), LARGEST_IDLE_BUFFER, "so much is kept");
}
