//! A real broker rejects and accepts passwords, while the bridge and librdkafka log in their most detailed levels.

use crate::bridge::{APP, TOKEN};
use crate::scene;
use crate::sender::Sender;
use crate::tls::{PASSWORD, Scene};
use crate::wait::{count, until_true};

#[test]
fn neither_a_right_nor_a_wrong_password_is_in_the_log_or_in_any_state() {
    const WRONG: &str = "wr0ng-pa55-3c09";
    let scene = Scene::shared();
    let setup = scene.setup("SCRAM", "secrets").env("KAFKA_DEBUG", "all").env("BRIDGE_LOG", "trace");
    // `tls.rs` has a test that starts without rights. This test runs at the same time, so it has another user.
    scene.allow("rightful", "secrets");
    let mut said = String::new();
    for (name, password) in [("wrong-one", WRONG), ("right-one", PASSWORD)] {
        let setup = scene.with_password(setup.clone(), ("rightful", password), name);
        let mut bridge = setup.start();
        Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &[name]);
        let counted = |metric: &str| count(&bridge, metric) > 0;
        if password == WRONG {
            until_true("it is refused", || counted("kafka_errors_total{kind=\"authentication\"}"));
        } else {
            until_true("it is taken", || counted("records_published_total"));
        }
        for path in ["/readyz", "/status", "/metrics"] {
            said += &bridge.ops_get(path).1;
        }
        if password == WRONG {
            bridge.kill();
        } else {
            scene::stop(&mut bridge);
        }
        said += &bridge.process.log_lines().join("\n");
    }
    assert!(
        said.contains("\"target\":\"librdkafka\"") && said.contains("SCRAM") && said.contains("invalid credentials")
    );
    for secret in [WRONG, PASSWORD, TOKEN] {
        assert!(!said.contains(secret), "{secret} came out");
    }
    scene.assert_published("secrets", &["wrong-one", "right-one"]);
}
