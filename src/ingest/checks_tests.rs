use super::*;
use crate::events::Origin;
use crate::record::Record;
use crate::webhook::Token;
use proptest::prelude::*;

const NOW: i64 = 1_669_872_112;
const RECALL: &str = crate::events::RECALL_COMMAND;
const BODY: &[u8] = br#"{"Official_Account":"a","WithdrawMsgList":[{"MsgKey":"k"}]}"#;

fn apps() -> Apps {
    Apps::parse("1:xxxxyyyy|other,2", true).unwrap()
}

fn signed(command: &str, request_time: i64) -> String {
    let sign = "other".parse::<Token>().unwrap().sign(&request_time.to_string());
    format!("SdkAppid=1&CallbackCommand={command}&Sign={sign}&RequestTime={request_time}")
}

/// The outcome, and the reason of the entry in quarantine.
fn judge(query: &str, body: &[u8]) -> (Outcome, Option<QuarantineReason>) {
    match check(query.as_bytes(), body, &apps(), NOW, 60) {
        Verdict::Publish(..) => (Outcome::Accepted, None),
        Verdict::Answer { outcome, .. } => (outcome, None),
        Verdict::Quarantine { outcome, reason, .. } => (outcome, Some(reason)),
    }
}

#[test]
fn requests_that_need_no_body_are_decided_by_their_head() {
    let needs_body = |query: &str| matches!(check_head(query.as_bytes(), &apps(), NOW, 60), HeadVerdict::Body(_));
    for (query, needed) in [
        (signed(RECALL, NOW), true),
        (signed(RECALL, NOW - 120), true),
        (signed(RECALL, 0), true),
        (signed("OfficialAccount.CallbackAfterMsgWithdraw", NOW), true),
        (signed("C2C.CallbackAfterSendMsg", NOW), false),
        (signed("C2C.CallbackAfterSendMsg", NOW - 120), false),
        (signed(RECALL, NOW).replace("Sign=", "Sign=0"), false),
        (signed(RECALL, NOW).replace("SdkAppid=1", "SdkAppid=3"), false),
        (signed(RECALL, NOW).replace("SdkAppid=1", "SdkAppid=x"), false),
        (format!("SdkAppid=2&CallbackCommand={RECALL}"), true),
    ] {
        assert_eq!(needs_body(&query), needed, "{query}");
    }
}

#[test]
fn quarantined_webhooks_are_stored_under_their_reason() {
    let near = "OfficialAccount.CallbackAfterMsgWithdraw";
    for (query, body, expected) in [
        (signed(RECALL, NOW), BODY, (Outcome::Accepted, None)),
        (signed(RECALL, NOW), &b"{"[..], (Outcome::Malformed, Some(QuarantineReason::Malformed))),
        (signed(RECALL, NOW - 61), BODY, (Outcome::Stale, Some(QuarantineReason::Stale))),
        (signed(RECALL, NOW - 90_000), b"{", (Outcome::Expired, Some(QuarantineReason::Expired))),
        (signed(near, NOW), BODY, (Outcome::Ignored, Some(QuarantineReason::NearMiss))),
        (signed(near, NOW - 90_000), BODY, (Outcome::Ignored, Some(QuarantineReason::NearMiss))),
        (signed("C2C.CallbackAfterSendMsg", NOW - 90_000), BODY, (Outcome::Ignored, None)),
    ] {
        assert_eq!(judge(&query, body), expected, "{query}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_not_authentic_is_stored(
        command in prop::sample::select(vec![RECALL, "OfficialAccount.CallbackAfterMsgWithdraw", "C2C.CallbackAfterSendMsg"]),
        sign in prop_oneof!["[0-9a-f]{64}", "[0-9A-Fa-f%+&=]{0,70}", Just(String::new())],
        time in prop_oneof!["[0-9]{1,20}", ".{0,8}"],
        app in 0_u64..5,
        rest in ".{0,20}",
        body in prop_oneof![Just(BODY.to_vec()), prop::collection::vec(any::<u8>(), 0..60)],
    ) {
        // Webhooks of app 2 are accepted without a Sign.
        prop_assume!(app != 2);
        let query = format!("SdkAppid={app}&CallbackCommand={command}&Sign={sign}&RequestTime={time}&x={rest}");
        let verdict = check(query.as_bytes(), &body, &apps(), NOW, 60);
        prop_assert!(matches!(verdict, Verdict::Answer { verified: None, .. }), "{verdict:?}");
    }

    #[test]
    fn accepted_bodies_come_out_byte_for_byte(
        account in ".{1,40}",
        keys in prop::collection::vec(".{1,40}", 1..12),
        client_ip in prop::option::of("[^&%+\\u{0}]{1,16}"),
    ) {
        let list: Vec<_> = keys.iter().map(|key| serde_json::json!({ "MsgKey": key })).collect();
        let body = serde_json::json!({ "Official_Account": account, "WithdrawMsgList": list }).to_string();
        let address = client_ip.as_ref().map(|ip| format!("&ClientIP={ip}")).unwrap_or_default();
        let query = format!("{}{address}", signed(RECALL, NOW));
        let apps = apps();
        let verdict = check(query.as_bytes(), body.as_bytes(), &apps, NOW, 60);
        let Verdict::Publish(verified, messages) = verdict else { panic!("{verdict:?}") };
        let mut distinct = keys.clone();
        let mut seen = std::collections::BTreeSet::new();
        distinct.retain(|key| seen.insert(key.clone()));
        prop_assert_eq!(messages.count(), distinct.len());
        let origin = Origin::new(&verified, NOW * 1000, None);
        for (index, msg_key) in distinct.iter().enumerate() {
            let mut bytes = Vec::new();
            messages.encode(index, &origin, &mut bytes);
            let record = Record::decode(&bytes).unwrap();
            let value: serde_json::Value = serde_json::from_slice(record.value).unwrap();
            prop_assert_eq!(record.key, account.as_bytes());
            prop_assert_eq!((&value["official_account"], &value["msg_key"]), (&account.clone().into(), &msg_key.clone().into()));
            prop_assert_eq!(value["client_ip"].as_str(), client_ip.as_deref());
            let subject = record.headers().find(|(name, _)| *name == "ce_subject").unwrap().1;
            prop_assert_eq!(subject, msg_key.as_bytes());
        }
    }
}
