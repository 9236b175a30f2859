//! The callback commands of the vendor's official-account family, and which unknown ones look like ours.
//!
//! Source: Tencent Cloud Chat webhook documentation, "webhooks related to the official channel".

/// The `CallbackCommand` of a recall. Any other authentic command is not ours to handle: the vendor's
/// console has one webhook URL for all of them.
pub const RECALL_COMMAND: &str = "OfficialAccount.CallbackAfterMsgWithDraw";

/// The other documented commands of the family.
pub const OTHER_COMMANDS: [&str; 10] = [
    "OfficialAccount.CallbackBeforeCreateOfficialAccount",
    "OfficialAccount.CallbackAfterCreateOfficialAccount",
    "OfficialAccount.CallbackAfterOfficialAccountInfoChanged",
    "OfficialAccount.CallbackAfterOfficialAccountDestroyed",
    "OfficialAccount.CallbackBeforeAddSubscriber",
    "OfficialAccount.CallbackAfterAddSubscriber",
    "OfficialAccount.CallbackAfterDeleteSubscriber",
    "OfficialAccount.CallbackAfterOfficialAccountFull",
    "OfficialAccount.CallbackBeforeSendMsg",
    "OfficialAccount.CallbackAfterSendMsg",
];

/// The families of the vendor's other commands, folded: `C2C.CallbackAfterMsgWithDraw` is one of them, and is
/// no misspelt recall of ours.
const OTHER_FAMILIES: [&str; 6] = ["c2c", "group", "state", "sns", "profile", "bot"];
/// Letters that may be missing, added or wrong in a near miss.
const TYPOS_MAX: usize = 3;
/// Longer ones are not compared.
const COMMAND_MAX_BYTES: usize = 256;

/// Whether an undocumented command looks like [`RECALL_COMMAND`]: in another case, without its family or
/// in an unknown one, with other separators, or with up to three typos. The vendor may have renamed it, and
/// then recalls would be answered with OK and lost.
pub fn is_near_miss(command: &str) -> bool {
    if command.len() > COMMAND_MAX_BYTES || command == RECALL_COMMAND || OTHER_COMMANDS.contains(&command) {
        return false;
    }
    let (family, name) = command.rsplit_once('.').unwrap_or(("", command));
    let near = |command: &str, ours: &str| {
        let (command, ours) = (fold(command), fold(ours));
        command.len().abs_diff(ours.len()) <= TYPOS_MAX * 4 && strsim::levenshtein(&command, &ours) <= TYPOS_MAX
    };
    let our_name = RECALL_COMMAND.rsplit_once('.').map_or(RECALL_COMMAND, |(_, name)| name);
    near(command, RECALL_COMMAND) || (near(name, our_name) && !OTHER_FAMILIES.contains(&fold(family).as_str()))
}

/// Letters and digits, in lower case.
fn fold(command: &str) -> String {
    command.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_recall_is_a_near_miss() {
        for command in [
            "OfficialAccount.CallbackAfterMsgWithdraw",
            "officialaccount.callbackaftermsgwithdraw",
            "OFFICIALACCOUNT.CALLBACKAFTERMSGWITHDRAW",
            "OfficialAccount.CallbackAfterMsgWithDrawn",
            "OfficialAccount.CallbackAfterMsgWithDra",
            "OfficialAccount.CallbackAfterMessageWithDraw".replace("Message", "Msgs").as_str(),
            "OfficalAccount.CallbackAfterMsgWithDraw",
            "CallbackAfterMsgWithDraw",
            ".CallbackAfterMsgWithDraw",
            "callbackaftermsgwithdraw",
            "OfficialAccountCallbackAfterMsgWithDraw",
            "Official_Account.Callback_After_Msg_With_Draw",
            "OfficialChannel.CallbackAfterMsgWithDraw",
            " OfficialAccount.CallbackAfterMsgWithDraw ",
            "OfficialAccount.CallbackAfterMsgWithDraw\0",
            "OfficialAccount.CallbackAfterMsgWithDr\u{430}w",
        ] {
            assert!(is_near_miss(command), "{command:?}");
        }
    }

    #[test]
    fn documented_and_other_commands_are_none() {
        let others = [
            "",
            ".",
            "c",
            RECALL_COMMAND,
            "C2C.CallbackAfterMsgWithDraw",
            "c2c.callbackAfterMsgWithDraw",
            "C2C.CallbackAfterSendMsg",
            "Group.CallbackAfterRecallMsg",
            "Group.CallbackAfterMsgWithDraw",
            "State.StateChange",
        ];
        for command in OTHER_COMMANDS.iter().chain(&others) {
            assert!(!is_near_miss(command), "{command:?}");
        }
        assert!(!is_near_miss(&RECALL_COMMAND.repeat(7)));
    }
}
