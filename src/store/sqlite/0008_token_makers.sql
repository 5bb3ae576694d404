-- The operator token that made a host or operator token, or enrolled a runner. Unlike with parent_id such a token outlives
-- its maker, unless its maker is revoked with all it made.
ALTER TABLE tokens ADD COLUMN maker_id TEXT;
UPDATE tokens SET maker_id = (
  SELECT a.actor_token FROM audit a WHERE a.kind = 'token_created' AND a.subject = tokens.id ORDER BY a.seq LIMIT 1)
  WHERE kind IN ('operator', 'host');
CREATE INDEX tokens_by_maker ON tokens (maker_id) WHERE maker_id IS NOT NULL;
