//! The vendor's side: it caches messages, and recalls some of them.

use std::collections::BTreeSet;

use crate::stack::{Stack, eventually};

const ACCOUNT: &str = "#TOA#_news";

/// Numbers its messages, and stores the acknowledged recalls.
#[derive(Default)]
pub struct Channel {
    next: u64,
    pub recalled: BTreeSet<String>,
}

fn cached(msg_key: &str) -> String {
    format!("message:{ACCOUNT}:{msg_key}")
}

fn is_cached(stack: &Stack, msg_key: &str) -> Option<bool> {
    redis::cmd("EXISTS").arg(cached(msg_key)).query(&mut stack.redis().ok()?).ok()
}

pub fn wait_purged(stack: &Stack, msg_key: &str) {
    eventually(&format!("{msg_key} is purged"), || (is_cached(stack, msg_key) == Some(false)).then_some(()));
}

impl Channel {
    fn message(&mut self) -> String {
        self.next += 1;
        format!("{}_0_1698741698", self.next)
    }

    /// Puts a message into the cache.
    pub fn publish(&mut self, stack: &Stack) -> String {
        let msg_key = self.message();
        eventually("Redis takes a message", || {
            redis::cmd("SET").arg(cached(&msg_key)).arg("Hello!").exec(&mut stack.redis().ok()?).ok()
        });
        assert_eq!(is_cached(stack, &msg_key), Some(true));
        msg_key
    }

    /// Recalls a message with a webhook, which must be acknowledged.
    pub fn recall(&mut self, stack: &Stack, msg_key: String) {
        stack.sender().acknowledged(ACCOUNT, &[&msg_key]);
        self.recalled.insert(msg_key);
    }

    /// Recalls a message that is not in the cache.
    pub fn recall_another(&mut self, stack: &Stack) {
        let msg_key = self.message();
        self.recall(stack, msg_key);
    }

    /// Checks that a recalled message leaves the cache, and that another message stays.
    pub fn purges(&mut self, stack: &Stack) {
        let (recalled, kept) = (self.publish(stack), self.publish(stack));
        self.recall(stack, recalled.clone());
        wait_purged(stack, &recalled);
        assert_eq!(is_cached(stack, &kept), Some(true), "{kept} was not recalled");
    }
}
