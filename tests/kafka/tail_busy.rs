//! `tail --verify` starts and ends while nodes publish. It reports no missing record at its start or at its end.

use std::time::Duration;

use crate::broker::Broker;
use crate::load::Load;
use crate::random::Random;
use crate::scene;
use crate::wait::{count, until_true};

/// The pause between two webhooks of a connection: the publisher and `tail` of a debug build keep up.
const PACE: Duration = Duration::from_millis(2);

#[test]
fn a_verification_of_a_busy_topic_finds_no_gap() {
    let broker = Broker::shared();
    let mut bridge = scene::setup(broker, "tail-busy").start();
    let load = Load::paced("busy", 4, PACE, bridge.webhook_address(), &mut Random::new());
    let url = format!("http://{}/status", bridge.ops_address());
    until_true("records are published", || count(&bridge, "records_published_total") > 0);
    let verify = ["tail", "--until-end", "--verify", "--quiet"];
    for _ in 0..3 {
        load.until_acknowledged(300);
        let middle = jiff::Timestamp::now().to_string();
        load.until_acknowledged(300);
        for more in [&["--from", "beginning"][..], &["--from", &middle], &["--status-url", &url]] {
            let output = bridge.setup().run(&[&verify[..], more].concat());
            assert!(output.status.success(), "{more:?}: {output:?}");
        }
    }
    load.stop();
    scene::stop(&mut bridge);
    let output = bridge.setup().run(&verify);
    assert!(output.status.success(), "{output:?}");
}
