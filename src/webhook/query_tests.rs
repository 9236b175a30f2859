use super::*;
use proptest::prelude::*;

#[expect(clippy::ptr_arg, reason = "whether it is borrowed is the question")]
fn is_borrowed(text: &Cow<'_, str>) -> bool {
    matches!(text, Cow::Borrowed(_))
}

#[test]
fn values_without_escapes_are_borrowed() {
    let query = Query::parse(b"SdkAppid=1&CallbackCommand=a.b&ClientIP=::1&OptPlatform=Web");
    let query = query.unwrap();
    assert!(is_borrowed(&query.command));
    assert!(query.client_ip.as_ref().is_some_and(is_borrowed));
    assert!(query.opt_platform.as_ref().is_some_and(is_borrowed));
    assert_eq!(query.sign, Param::Missing);
}

#[test]
fn decodes_names_and_values() {
    let query = Query::parse(b"&Sdk%41ppid=%31&CallbackCommand=a%2eb+c&ClientIP=%E5%85%AC&&x");
    let query = query.unwrap();
    assert_eq!(query.sdk_app_id, 1);
    assert_eq!(query.command, "a.b c");
    assert_eq!(query.client_ip.unwrap(), "公");
}

#[test]
fn the_first_platform_wins_and_an_empty_one_is_absent() {
    let query = "SdkAppid=1&CallbackCommand=c&OptPlatform=iOS&OptPlatform=&ClientIP=&ClientIP=x";
    let query = Query::parse(query.as_bytes()).unwrap();
    assert_eq!(query.opt_platform.unwrap(), "iOS");
    assert_eq!(query.client_ip, None);
}

const REQUIRED: &str = "SdkAppid=1&CallbackCommand=c&";

#[test]
fn unused_parameters_need_not_be_decodable() {
    for odd in [
        &b"RequestId=100%"[..],
        b"x=%",
        b"x=%4",
        b"x=%zz",
        b"x=%+1",
        b"%F=1",
        b"%=%&%zz=1",
        b"contenttype=%FF",
        b"contenttype=\xb0\xb2",
        b"\xff=\xff",
        b"x=\"<>\\|^{}`",
        b"=&==&&",
    ] {
        let query = [REQUIRED.as_bytes(), odd].concat();
        let query = Query::parse(&query).unwrap();
        assert_eq!((query.sdk_app_id, query.command.as_ref()), (1, "c"), "{}", odd.escape_ascii());
    }
}

#[test]
fn invalid_addresses_and_platforms_are_absent() {
    let (longest, longer) = ("a".repeat(64), "a".repeat(65));
    let (long_escaped, longer_escaped) = ("%61".repeat(64), "%61".repeat(65));
    for (value, understood) in [
        (&b"fe80::1%25eth0"[..], Some("fe80::1%eth0")),
        (b"fe80::1%eth0", Some("fe80::1%eth0")),
        (b"100%", Some("100%")),
        ("公".as_bytes(), Some("公")),
        (b"%E5%85%AC", Some("公")),
        // GBK: raw, escaped, and next to a malformed escape.
        (b"\xb0\xb2\xd7\xbf", None),
        (b"%B0%B2%D7%BF", None),
        (b"\xb0%", None),
        (b"<\"a b\">", Some("<\"a b\">")),
        (b"", None),
        (longest.as_bytes(), Some(longest.as_str())),
        (longer.as_bytes(), None),
        (long_escaped.as_bytes(), Some(longest.as_str())),
        (longer_escaped.as_bytes(), None),
    ] {
        for name in ["ClientIP", "OptPlatform"] {
            let query = [REQUIRED.as_bytes(), name.as_bytes(), b"=", value].concat();
            let query = Query::parse(&query).unwrap();
            let found = if name == "ClientIP" { query.client_ip } else { query.opt_platform };
            assert_eq!(found.as_deref(), understood, "{name}={}", value.escape_ascii());
        }
    }
}

#[test]
fn used_parameters_must_be_decodable() {
    for (query, fault) in [
        (&b"SdkAppid=%&CallbackCommand=c"[..], QueryError::Undecodable(SDK_APP_ID)),
        (b"SdkAppid=1&CallbackCommand=%zz", QueryError::Undecodable(COMMAND)),
        (b"SdkAppid=1&CallbackCommand=\xb0\xb2", QueryError::Undecodable(COMMAND)),
        (b"SdkAppid=1&CallbackCommand=%B0%B2", QueryError::Undecodable(COMMAND)),
        (b"SdkAppid=1&SdkAppid=%&CallbackCommand=c", QueryError::Repeated(SDK_APP_ID)),
        (b"SdkAppid=%&SdkAppid=1&CallbackCommand=c", QueryError::Repeated(SDK_APP_ID)),
    ] {
        assert_eq!(Query::parse(query), Err(fault), "{}", query.escape_ascii());
    }
    let sign = Query::parse(b"SdkAppid=1&CallbackCommand=c&Sign=%zz&RequestTime=%FF").unwrap();
    assert_eq!((sign.sign, sign.request_time), (Param::Undecodable, Param::Undecodable));
}

#[test]
fn the_required_two_are_there_once_and_well_formed() {
    for (query, fault) in [
        ("", QueryError::Missing(SDK_APP_ID)),
        ("sdkappid=1&CallbackCommand=c", QueryError::Missing(SDK_APP_ID)),
        ("SdkAppid=1&SdkAppid=1&CallbackCommand=c", QueryError::Repeated(SDK_APP_ID)),
        ("SdkAppid=&CallbackCommand=c", QueryError::BadAppId),
        ("SdkAppid=%2B1&CallbackCommand=c", QueryError::BadAppId),
        ("SdkAppid=-1&CallbackCommand=c", QueryError::BadAppId),
        ("SdkAppid=18446744073709551616&CallbackCommand=c", QueryError::BadAppId),
        ("SdkAppid=1", QueryError::Missing(COMMAND)),
        ("SdkAppid=1&CallbackCommand", QueryError::EmptyCommand),
        ("SdkAppid=1&CallbackCommand=c&CallbackCommand=c", QueryError::Repeated(COMMAND)),
    ] {
        assert_eq!(Query::parse(query.as_bytes()), Err(fault), "{query}");
    }
}

#[test]
fn without_sign_takes_out_sign_and_nothing_else() {
    for (query, kept) in [
        ("", ""),
        ("Sign=x", ""),
        ("a=1&Sign=x&b=%zz", "a=1&b=%zz"),
        ("%53ign=x&a=1&S%69g%6e&a=1", "a=1&a=1"),
        ("sign=x&Signs=y&a=Sign=z&%2553ign=1", "sign=x&Signs=y&a=Sign=z&%2553ign=1"),
        ("a&&b&Sign=%", "a&&b"),
        (&format!("sign={}&b", "ab".repeat(32)), "sign=[hidden]&b"),
        ("A1".repeat(40).as_str(), "[hidden]"),
        (&format!("Client%49P={}&x=1", "ab".repeat(32)), &format!("Client%49P={}&x=1", "ab".repeat(32))),
        (&format!("x={}", "a".repeat(63)), &format!("x={}", "a".repeat(63))),
        (&format!("SdkAppid={}1", "0".repeat(80)), &format!("SdkAppid={}1", "0".repeat(80))),
    ] {
        assert_eq!(without_sign(query.as_bytes()), kept, "{query}");
    }
}

#[test]
fn a_command_is_found_in_any_query_that_names_it() {
    for query in [
        "SdkAppid=1&CallbackCommand=a.b",
        "CallbackCommand=a.b",
        "CallbackCommand=x&CallbackCommand=a.b",
        "SdkAppid=%zz&Callback%43ommand=a%2eb&Sign",
    ] {
        assert!(names_command(query.as_bytes(), |command| command == "a.b"), "{query}");
    }
    for query in [
        "",
        "a.b",
        "x=a.b",
        "callbackcommand=a.b",
        "CallbackCommand=A.B",
        "CallbackCommand=a.b.c",
        "CallbackCommand=%ff",
    ] {
        assert!(!names_command(query.as_bytes(), |command| command == "a.b"), "{query}");
    }
}

proptest! {
    #[test]
    fn parse_never_panics(query in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Query::parse(&query);
    }

    #[test]
    fn without_sign_leaves_no_sign_and_touches_no_other(
        pairs in prop::collection::vec("(Sign|%53ign|S%69gn|sign|a|%|%zz|)(=[a%&=+S5]{0,4})?", 0..6),
    ) {
        let kept = without_sign(pairs.join("&").as_bytes());
        for pair in kept.split('&') {
            let name = pair.split('=').next().unwrap();
            let name = decode(name.as_bytes());
            prop_assert_ne!(name.as_deref(), Some(SIGN));
        }
        prop_assert_eq!(without_sign(kept.as_bytes()), kept);
    }

    #[test]
    fn a_stored_query_has_the_same_meaning(
        pairs in prop::collection::vec(
            (prop::sample::select(vec!["Sign", "ClientIP", "OptPlatform", "RequestTime", "x", "%zz", ""]),
             prop::collection::vec(prop_oneof![Just(b'%'), Just(b'+'), Just(b'4'), Just(b'f'), 0x20_u8..=255], 0..8)),
            0..5,
        ),
    ) {
        let mut query = REQUIRED.as_bytes().to_vec();
        for (name, value) in &pairs {
            query.extend_from_slice(format!("&{name}=").as_bytes());
            query.extend(value.iter().filter(|byte| !matches!(byte, b'&' | b'=')));
        }
        let kept = without_sign(&query);
        let (before, after) = (Query::parse(&query).unwrap(), Query::parse(kept.as_bytes()).unwrap());
        prop_assert_eq!(after, Query { sign: Param::Missing, ..before });
    }
}
