//! The callback commands of the vendor, and unknown ones that are similar to a published one.
//!
//! Source: Tencent Cloud Chat webhook documentation, "webhooks related to the official channel".

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

/// Frequent commands of the vendor's other families: each has its own label value in the metrics.
const COMMANDS_OF_OTHER_FAMILIES: [&str; 10] = [
    "C2C.CallbackBeforeSendMsg",
    "C2C.CallbackAfterSendMsg",
    "C2C.CallbackAfterMsgReport",
    "C2C.CallbackAfterMsgWithDraw",
    "Group.CallbackBeforeSendMsg",
    "Group.CallbackAfterSendMsg",
    "Group.CallbackAfterRecallMsg",
    "State.StateChange",
    "Sns.CallbackFriendAdd",
    "Profile.CallbackPortraitSet",
];

/// The families of the vendor's other commands, folded. `C2C.CallbackAfterMsgWithDraw` is one of them, and not a
/// misspelled command of this family.
const OTHER_FAMILIES: [&str; 6] = ["c2c", "group", "state", "sns", "profile", "bot"];
/// Maximum number of letters that are missing, added or wrong in a near miss.
const TYPOS_MAX: usize = 3;
/// Longer commands are not compared.
const COMMAND_MAX_BYTES: usize = 256;

/// Commands that are not published, each with its own label value in the metrics.
pub fn unpublished() -> Vec<&'static str> {
    OTHER_COMMANDS.iter().chain(&COMMANDS_OF_OTHER_FAMILIES).copied().collect()
}

/// The published command that an undocumented one is similar to: with another case, without its family or in an unknown
/// one, with other separators, or with up to three typing errors.
pub(super) fn near_miss(
    command: &str,
    mut published: impl Iterator<Item = &'static str> + Clone,
) -> Option<&'static str> {
    let is_documented = OTHER_COMMANDS.contains(&command) || published.clone().any(|ours| ours == command);
    if command.len() > COMMAND_MAX_BYTES || is_documented {
        return None;
    }
    published.find(|ours| is_similar(command, ours))
}

fn is_similar(command: &str, published: &str) -> bool {
    let (family, name) = command.rsplit_once('.').unwrap_or(("", command));
    let near = |command: &str, ours: &str| {
        let (command, ours) = (fold(command), fold(ours));
        command.len().abs_diff(ours.len()) <= TYPOS_MAX * 4 && strsim::levenshtein(&command, &ours) <= TYPOS_MAX
    };
    let our_name = published.rsplit_once('.').map_or(published, |(_, name)| name);
    near(command, published) || (near(name, our_name) && !OTHER_FAMILIES.contains(&fold(family).as_str()))
}

/// Letters and digits, in lower case.
fn fold(command: &str) -> String {
    command.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::OTHER_COMMANDS;
    use crate::events::{RECALL_COMMAND, near_miss};

    #[test]
    fn a_command_similar_to_a_recall_is_a_near_miss() {
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
            assert_eq!(near_miss(command), Some(RECALL_COMMAND), "{command:?}");
        }
    }

    #[test]
    fn documented_and_other_commands_are_no_near_misses() {
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
            assert_eq!(near_miss(command), None, "{command:?}");
        }
        assert_eq!(near_miss(&RECALL_COMMAND.repeat(7)), None);
    }
}
