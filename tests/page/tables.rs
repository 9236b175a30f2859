//! The tables, the search and the actions of the page.

use serde_json::json;

use crate::bridge::{APP, Bridge};
use crate::browser::Browser;
use crate::mock::Kafka;
use crate::sender::signed_query;
use crate::{cli, sender};

fn three_stale(bridge: &Bridge) {
    for (account, key) in [("#TOA#_1", "1_1_1"), ("#TOA#_2", "2_1_1"), ("#TOA#_1", "3_1_1")] {
        assert_eq!(cli::stale(bridge, account, &[key]), 120_008);
    }
}

#[test]
fn a_filtered_set_is_requeued_after_a_confirmation() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_OPS_ACTIONS", true).start();
    three_stale(&bridge);
    let mut browser = Browser::on(&bridge);
    browser.wait("#quarantine-actions", "3 of 3 listed");
    browser.type_into("#quarantine-filter [name=account]", "#TOA#_1");
    browser.click("#quarantine-filter button");
    browser.wait("#quarantine-actions", "2 of 2 listed");
    browser.wait("#quarantine-actions button", "Requeue these 2 entries");
    browser.click("#quarantine-actions button");
    browser.wait("#dialog-title", "Requeue 2 entries?");
    browser.assert_accessible();
    browser.shots("confirm");
    browser.click("#dialog .primary");
    browser.wait("#dialog-body", "Done: 2 requeued.");
    let records = kafka.topic().read_count(2);
    assert_eq!([records[0].msg_key(), records[1].msg_key()], ["1_1_1", "3_1_1"]);
    browser.ask(&json!({ "do": "press", "key": "Escape" }));
    browser.type_into("#quarantine-filter [name=account]", "");
    browser.click("#quarantine-filter button");
    browser.wait("#quarantine-actions button.danger", "Drop this entry");
    browser.click("#quarantine-actions button.danger");
    browser.click("#dialog .danger");
    browser.wait("#dialog-body", "Done: 1 dropped.");
    browser.wait("#quarantine-table", "The quarantine is empty.");
    browser.assert_no_errors();
}

#[test]
fn without_the_switch_the_page_shows_command_lines() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    three_stale(&bridge);
    let mut browser = Browser::on(&bridge);
    browser.wait("#quarantine-actions", "3 of 3 listed");
    browser.type_into("#quarantine-filter [name=account]", "#TOA#_1");
    browser.click("#quarantine-filter button");
    browser.wait("#quarantine-actions", "2 of 2 listed");
    let lines = browser.texts("#quarantine-actions code");
    assert_eq!(lines[0], "recall-bridge quarantine requeue --account '#TOA#_1' --yes --through 3");
    assert!(!browser.text("#quarantine-actions").contains("these 2 entries"));
    // The command line that the page shows has the effect that the page describes.
    let arguments = ["quarantine", "requeue", "--account", "#TOA#_1", "--yes", "--through", "3"];
    cli::run(bridge.setup(), 0, &arguments);
    browser.wait("#quarantine-table", "The quarantine is empty.");
    assert_eq!(kafka.topic().read_count(2).len(), 2);
    browser.assert_no_errors();
}

#[test]
fn the_search_says_where_a_recall_is_and_how_to_see_it() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    sender(&bridge).acknowledged("#TOA#_1", &["71_1_1698741698"]);
    bridge.wait_published();
    assert_eq!(cli::stale(&bridge, "#TOA#_1", &["72_1_1698741698"]), 120_008);
    let mut browser = Browser::on(&bridge);
    browser.type_into("#find-key", "#TOA#_1");
    browser.ask(&json!({ "do": "press", "key": "Enter" }));
    browser.wait("#find-result [data-place=published]", "71_1_1698741698");
    browser.wait("#find-result [data-place=quarantine]", "72_1_1698741698");
    browser.wait("#find-result [data-place=refused]", "stale");
    let line = browser.text("#find-result [data-place=published] code");
    assert!(line.starts_with(&format!("kcat -C -b {} -t official-account.recalls -p ", kafka.address())), "{line}");
    browser.assert_accessible();
    browser.shots("find");
    browser.assert_no_errors();
}

#[test]
fn charts_can_be_read_with_the_keyboard() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let mut browser = Browser::on(&bridge);
    sender(&bridge).acknowledged("a", &["k"]);
    assert_eq!(sender(&bridge).post(&signed_query(APP, "wrong"), "{}").code(), 120_007);
    browser.wait("#plot-webhooks .legend", "bad_sign 1");
    for range in 1..=4 {
        browser.click(&format!("#ranges button:nth-child({range})"));
    }
    browser.wait("#ranges [aria-pressed=true]", "24 h");
    browser.click("#plot-kafka svg");
    browser.ask(&json!({ "do": "press", "key": "ArrowLeft" }));
    browser.wait("#plot-kafka .legend", "state");
    browser.assert_accessible();
    browser.assert_no_errors();
}
