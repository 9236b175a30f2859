-- The schema of the archive for mark_archive.py. It is safe to run this file again.
--
-- A message and its recall take different paths, so either may arrive first. Each message has one row, and the first
-- arrival creates it. So a message that arrives late keeps its recall. The archive's own writer must insert like this,
-- and must never set recalled_at:
--
--   INSERT INTO messages (sdk_app_id, official_account, msg_key, body) VALUES (…)
--   ON CONFLICT (sdk_app_id, official_account, msg_key) DO UPDATE SET body = excluded.body;
--
-- A plain INSERT of a message whose recall arrived first fails on the primary key, so the mistake shows at once.

CREATE TABLE IF NOT EXISTS messages (
    sdk_app_id       numeric(20) NOT NULL,
    official_account text        NOT NULL,
    msg_key          text        NOT NULL,
    -- Null if only the recall has arrived.
    body             jsonb,
    -- Null if the message is not recalled.
    recalled_at      timestamptz,
    -- The event_id of the recall that marked the row, to find it in the topic.
    recall_event_id  uuid,
    PRIMARY KEY (sdk_app_id, official_account, msg_key)
);

-- The messages that may be shown.
CREATE OR REPLACE VIEW visible_messages AS
SELECT sdk_app_id, official_account, msg_key, body
FROM messages
WHERE recalled_at IS NULL AND body IS NOT NULL;
