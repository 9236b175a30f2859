//! A message and its recall reach the archive by different paths. The message is marked in either order of arrival.

use std::thread;

use super::consumer::done;
use super::killed::recall;
use super::{Consumer, Kind, Store, broker, copies};
use crate::scene;
use crate::wait::until_true;

const COPIES: usize = 600;

#[test]
fn a_message_that_is_archived_before_during_or_after_its_recall_is_marked() {
    let topic = "archived-late";
    let broker = broker();
    let mut bridge = scene::setup(broker, topic).start();
    let store = Store::for_consumer(Kind::PythonArchive);
    let consumer = Consumer::start(Kind::PythonArchive, broker, topic, &store);
    let copies = copies(COPIES);
    let sending = recall(&bridge.url(), copies.clone());
    // Meanwhile the archive's writer inserts the same messages in another order, many in one transaction.
    thread::scope(|scope| {
        for part in copies.rchunks(COPIES / 3) {
            let mut part = part.to_vec();
            part.reverse();
            let store = &store;
            scope.spawn(move || part.chunks(40).for_each(|some| store.keep(some)));
        }
    });
    sending.join().unwrap();
    until_true("all is committed", || done(broker, topic).len() == COPIES);
    assert_eq!(store.shown().len(), 0);
    // The writer inserts all messages again, long after their recalls.
    store.keep(&copies);
    let Store::Postgres(archive) = &store else { unreachable!() };
    let counts =
        archive.query("SELECT count(*), count(body), count(recalled_at), count(recall_event_id) FROM messages");
    assert_eq!(counts, format!("{COPIES}|{COPIES}|{COPIES}|{COPIES}"));
    scene::stop(&mut bridge);
    consumer.stop();
}
