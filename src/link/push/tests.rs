use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[derive(Default)]
struct Counts {
    received: AtomicUsize,
    ended: AtomicUsize,
}

impl PushReceiver for Counts {
    fn receive(&self, _: PushKind, _: Vec<Value>) {
        self.received.fetch_add(1, SeqCst);
    }

    fn end(&self) {
        self.ended.fetch_add(1, SeqCst);
    }
}

#[test]
fn who_wants_pushes_gets_them_and_learns_of_their_end() {
    let pushes = Arc::new(Pushes::over(ProtocolVersion::RESP3));
    let push = || Ok(Value::Push { kind: PushKind::Message, data: Vec::new() });
    pushes.hand_on(push());
    let counts = Arc::new(Counts::default());
    pushes.hand_to(Arc::clone(&counts) as Arc<dyn PushReceiver>);
    let source = Source(Arc::clone(&pushes));
    pushes.hand_on(push());
    assert_eq!((counts.received.load(SeqCst), counts.ended.load(SeqCst)), (1, 0));
    drop(source);
    assert_eq!(counts.ended.load(SeqCst), 1);
}

#[test]
fn the_end_is_told_once_to_the_first_receiver_whenever_it_comes() {
    for comes_late in [false, true] {
        let pushes = Arc::new(Pushes::over(ProtocolVersion::RESP3));
        let source = Source(Arc::clone(&pushes));
        let [first, second] = [(); 2].map(|()| Arc::new(Counts::default()));
        if comes_late {
            drop(source);
            pushes.hand_to(Arc::clone(&first) as Arc<dyn PushReceiver>);
        } else {
            pushes.hand_to(Arc::clone(&first) as Arc<dyn PushReceiver>);
            assert_eq!(first.ended.load(SeqCst), 0);
            drop(source);
        }
        pushes.hand_to(Arc::clone(&second) as Arc<dyn PushReceiver>);
        assert_eq!((first.ended.load(SeqCst), second.ended.load(SeqCst)), (1, 0), "late: {comes_late}");
    }
}

#[test]
fn only_resp3_tells_pushes_from_replies() {
    assert!(Pushes::over(ProtocolVersion::RESP3).are_told_apart());
    assert!(!Pushes::over(ProtocolVersion::RESP2).are_told_apart());
}
