//! The two responses to a webhook. The sender treats any other response, and any response that is not JSON, as
//! failed.

use serde::Serialize;

/// The body of an acknowledgement.
pub fn ok() -> &'static str {
    r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#
}

/// The body of a refusal: `code` is within 120001–130000 (the vendor's range for receivers), `info` says what is
/// wrong, without secrets.
pub fn fail(code: u32, info: &str) -> String {
    let answer = Fail { action_status: "FAIL", error_info: info, error_code: code };
    // Serialization of strings and numbers does not fail. If it fails anyway, the sender still gets JSON with the
    // code.
    serde_json::to_string(&answer)
        .unwrap_or_else(|_| format!(r#"{{"ActionStatus":"FAIL","ErrorInfo":"","ErrorCode":{code}}}"#))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Fail<'a> {
    action_status: &'static str,
    error_info: &'a str,
    error_code: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ok_is_json_with_code_zero() {
        let answer: serde_json::Value = serde_json::from_str(ok()).unwrap();
        assert_eq!(answer["ActionStatus"], "OK");
        assert_eq!(answer["ErrorInfo"], "");
        assert_eq!(answer["ErrorCode"], 0);
    }

    #[test]
    fn fail_keeps_the_order_and_escapes() {
        assert_eq!(
            fail(120_001, "Sign: \"\n"),
            r#"{"ActionStatus":"FAIL","ErrorInfo":"Sign: \"\n","ErrorCode":120001}"#
        );
    }
}
