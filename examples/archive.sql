-- The archive that mark_archive.py marks. Safe to run again.
--
-- A message and its recall come by different ways, so either may come first. There is one row per
-- message, and whoever comes first makes it: no recall is lost because its message was late. So the
-- archive's own writer must insert like this, and leave recalled_at alone:
--
--   INSERT INTO messages (sdk_app_id, official_account, msg_key, body) VALUES (…)
--   ON CONFLICT (sdk_app_id, official_account, msg_key) DO UPDATE SET body = excluded.body;
--
-- A plain INSERT of a message whose recall came first fails on the primary key: it shows at once.

CREATE TABLE IF NOT EXISTS messages (
    sdk_app_id       numeric(20) NOT NULL,
    official_account text        NOT NULL,
    msg_key          text        NOT NULL,
    -- Null where only the recall has come so far.
    body             jsonb,
    -- Null: not recalled.
    recalled_at      timestamptz,
    -- The event_id of the recall that marked the row, to find it in the topic.
    recall_event_id  uuid,
    PRIMARY KEY (sdk_app_id, official_account, msg_key)
);

-- What may still be shown.
CREATE OR REPLACE VIEW visible_messages AS
SELECT sdk_app_id, official_account, msg_key, body
FROM messages
WHERE recalled_at IS NULL AND body IS NOT NULL;
