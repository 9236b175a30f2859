//! Anyone who sends webhooks chooses the accounts and the MsgKeys.

use crate::browser::Browser;
use crate::mock::Kafka;
use crate::{cli, sender};

const HOSTILE: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "</td></table><script>document.title='owned'</script>",
    "\u{202e}gnp.exe",
    "javascript:alert(1)",
    "'\"`;--${alert(1)}{{7*7}}",
    "\u{1b}[2J\u{0}\u{7}",
];

#[test]
fn hostile_names_are_text_and_nothing_else() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let long = "x".repeat(1000);
    for account in HOSTILE.iter().copied().chain([long.as_str()]) {
        sender(&bridge).acknowledged(account, &[account]);
        assert_eq!(cli::stale(&bridge, account, &[account]), 120_008);
    }
    bridge.wait_published();
    let mut browser = Browser::on(&bridge);
    for (table, rows) in [("published", 7), ("quarantine", 7), ("refused", 7), ("accounts", 7)] {
        browser.wait(&format!("#{table}-table td"), HOSTILE[0]);
        let count = browser.texts(&format!("#{table}-table tbody tr")).len();
        assert_eq!(count, rows, "{table}");
        let texts = browser.texts(&format!("#{table}-table")).concat();
        assert!(texts.contains("\\u{202e}gnp.exe") && !texts.contains('\u{202e}'), "{table}: {texts}");
        assert!(texts.contains("\\u{1b}[2J") && !texts.contains('\u{1b}'), "{table}: {texts}");
    }
    for account in HOSTILE {
        browser.type_into("#find-key", account.trim_matches(['\u{0}', '\u{7}', '\u{1b}']));
        browser.click("#find-form button");
        browser.wait("#find-result", if account.contains('\u{1b}') { "does not have it" } else { "Published" });
    }
    browser.click("#quarantine-table button");
    browser.wait("#dialog-title", "Quarantine entry");
    assert_eq!(browser.ask(&serde_json::json!({ "do": "count", "selector": "img, td script, iframe" })), 0);
    browser.assert_accessible();
    browser.shots("hostile");
    browser.assert_no_errors();
}
