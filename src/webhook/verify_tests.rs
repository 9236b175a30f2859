use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_669_872_112;
const SIGN: &str = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061";

fn apps() -> Apps {
    Apps::parse("1:xxxxyyyy|other,2", true).unwrap()
}

const RECALL: &str = "OfficialAccount.CallbackAfterMsgWithDraw";

fn is_published(command: &str) -> bool {
    command == RECALL
}

fn query(rest: &str) -> String {
    format!("SdkAppid=1&CallbackCommand={RECALL}{rest}")
}

fn signed(token: &str, request_time: &str) -> String {
    let sign = token.parse::<Token>().unwrap().sign(request_time);
    query(&format!("&Sign={sign}&RequestTime={request_time}"))
}

fn check(query: &str) -> Result<Verified<'_>, Refusal<'_>> {
    verify(query.as_bytes(), &apps(), NOW, 60, is_published)
}

#[test]
fn any_token_of_a_rotation_proves() {
    for token in ["xxxxyyyy", "other"] {
        let query = signed(token, "1669872112");
        assert_eq!(check(&query).unwrap().skew_seconds(), Some(0));
    }
    let query = signed("third", "1669872112");
    assert_eq!(check(&query), Err(SignError::Wrong.into()));
}

#[test]
fn getters_return_the_sent_values() {
    let query = "SdkAppid=2&CallbackCommand=OfficialAccount.CallbackAfterMsgWithDraw\
                 &ClientIP=::1&OptPlatform=Web";
    let verified = check(query).unwrap();
    assert_eq!(verified.sdk_app_id(), 2);
    assert_eq!(verified.command(), RECALL);
    assert_eq!(verified.client_ip(), Some("::1"));
    assert_eq!(verified.opt_platform(), Some("Web"));
}

#[test]
fn an_app_without_tokens_has_sign_and_time_ignored() {
    let query = "SdkAppid=2&CallbackCommand=c&Sign=no&Sign=no&RequestTime=never";
    let verified = check(query).unwrap();
    assert_eq!(verified.skew_seconds(), None);
    assert_ne!(verified.command(), RECALL);
}

#[test]
fn each_invalid_proof_names_its_defect() {
    let sign = format!("&Sign={SIGN}");
    let time = "&RequestTime=1669872112";
    for (rest, fault) in [
        (String::new(), SignError::Missing("Sign")),
        (sign.clone(), SignError::Missing("RequestTime")),
        (format!("{sign}{sign}{time}"), SignError::Repeated("Sign")),
        (format!("{sign}{time}{time}"), SignError::Repeated("RequestTime")),
        (format!("{sign}0{time}"), SignError::NotHex),
        (format!("&Sign={time}"), SignError::NotHex),
        (format!("&Sign={}{time}", SIGN.replace('7', "g")), SignError::NotHex),
        (format!("{sign}&RequestTime="), SignError::NotDigits),
        (format!("{sign}&RequestTime=+1669872112"), SignError::NotDigits),
        (format!("{sign}&RequestTime=-1"), SignError::NotDigits),
        (format!("{sign}&RequestTime=1e9"), SignError::NotDigits),
        (format!("{sign}&RequestTime=01669872112"), SignError::Wrong),
    ] {
        assert_eq!(check(&query(&rest)), Err(fault.into()), "{rest}");
        let shown = fault.to_string();
        assert!(!shown.contains("xxxxyyyy") && !shown.contains(SIGN));
    }
}

#[test]
fn the_sign_covers_the_text_of_the_time() {
    let query = signed("xxxxyyyy", "0001669872112");
    assert_eq!(check(&query).unwrap().skew_seconds(), Some(0));
}

#[test]
fn the_window_includes_its_ends() {
    for (time, skew, inside) in [
        ("1669872052", 60, true),
        ("1669872172", -60, true),
        ("1669872051", 61, false),
        ("1669872173", -61, false),
        ("1669785712", 86_400, false),
        ("1669958512", -86_400, false),
    ] {
        let query = signed("xxxxyyyy", time);
        let verified = match check(&query) {
            Ok(verified) if inside => verified,
            Err(Refusal::Stale { verified, .. }) if !inside => verified,
            other => panic!("{other:?}"),
        };
        assert_eq!(verified.skew_seconds(), Some(skew));
    }
}

#[test]
fn more_than_a_day_away_is_expired() {
    for time in ["1669785711", "1669958513", "0", "1635312112", "99999999999999999999999"] {
        let query = signed("xxxxyyyy", time);
        let refusal = check(&query).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::Expired { verified } if verified.command() == "OfficialAccount.CallbackAfterMsgWithDraw"),
            "{refusal:?}"
        );
    }
    // A time window of more than a day applies as configured.
    let query = signed("xxxxyyyy", "1669785711");
    assert!(verify(query.as_bytes(), &apps(), NOW, 100_000, is_published).is_ok());
}

#[test]
fn a_time_beyond_all_numbers_is_expired_under_any_window() {
    let query = signed("xxxxyyyy", "99999999999999999999999");
    for now in [i64::MIN, NOW, i64::MAX] {
        let refusal = verify(query.as_bytes(), &apps(), now, u64::MAX, is_published).unwrap_err();
        assert!(matches!(refusal, Refusal::Expired { .. }), "{refusal:?}");
    }
}

#[test]
fn another_command_has_no_time_but_needs_its_sign() {
    for time in ["1669872112", "1669871992", "0", "99999999999999999999999"] {
        let query = signed("xxxxyyyy", time).replace(RECALL, "C2C.CallbackAfterSendMsg");
        assert_eq!(check(&query).unwrap().command(), "C2C.CallbackAfterSendMsg");
        let forged = signed("third", time).replace(RECALL, "C2C.CallbackAfterSendMsg");
        assert_eq!(check(&forged), Err(SignError::Wrong.into()));
    }
}

#[test]
fn an_undecodable_sign_is_a_query_error_if_the_app_has_tokens() {
    let query = query("&Sign=%zz&RequestTime=1669872112");
    assert_eq!(check(&query), Err(QueryError::Undecodable("Sign").into()));
    assert!(check(&query.replace("SdkAppid=1", "SdkAppid=2")).is_ok());
    assert_eq!(check(&query.replace("SdkAppid=1", "SdkAppid=3")), Err(Refusal::UnknownApp { sdk_app_id: 3 }));
}

#[test]
fn stale_says_which_way_the_clock_is_off() {
    let query = signed("xxxxyyyy", "1669872200");
    let shown = check(&query).unwrap_err().to_string();
    assert!(shown.contains("88 s ahead of"), "{shown}");
}

#[test]
fn the_checks_come_in_order() {
    let unknown = "SdkAppid=3&CallbackCommand=c&Sign=no";
    let refusal = Refusal::UnknownApp { sdk_app_id: 3 };
    assert_eq!(check(unknown), Err(refusal));
    let undecodable = "SdkAppid=3&CallbackCommand=%";
    assert!(matches!(check(undecodable), Err(Refusal::BadQuery(_))));
}

proptest! {
    #[test]
    fn never_panics(
        query in prop::collection::vec(any::<u8>(), 0..300),
        pairs in prop::collection::vec(
            ("SdkAppid|CallbackCommand|Sign|RequestTime|ClientIP", "[0-9a-f%+]{0,70}"), 0..8,
        ),
        now in any::<i64>(),
        window in any::<u64>(),
    ) {
        let _ = verify(&query, &apps(), now, window, is_published);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let pairs = format!("SdkAppid=1&CallbackCommand=c&{}", pairs.join("&"));
        let _ = verify(pairs.as_bytes(), &apps(), now, window, is_published);
    }

    #[test]
    fn any_signed_time_is_taken_stale_or_expired(time in "[0-9]{1,30}", now in any::<i64>()) {
        let query = signed("xxxxyyyy", &time);
        let refused = verify(query.as_bytes(), &apps(), now, 60, is_published).err();
        let known = |refusal| matches!(refusal, Refusal::Stale { .. } | Refusal::Expired { .. });
        prop_assert!(refused.is_none_or(known));
    }
}
