-- Profiles: rights, features and limits of agents as data.
CREATE TABLE profiles (
  name TEXT PRIMARY KEY,
  scopes TEXT NOT NULL,
  features TEXT NOT NULL,
  burst INTEGER NOT NULL CHECK (burst > 0),
  per_minute INTEGER NOT NULL CHECK (per_minute > 0),
  fan_out_max INTEGER NOT NULL CHECK (fan_out_max > 0),
  hops_max INTEGER NOT NULL CHECK (hops_max >= 0),
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A removed agent stays as the sender of what it wrote; its name is free, because it is called otherwise from then on.
ALTER TABLE agents ADD COLUMN removed_at INTEGER;
-- The lease: the runner token that runs the agent, from which place, how often that changed, and until when it holds
-- without a sign of life.
ALTER TABLE agents ADD COLUMN holder_id TEXT;
ALTER TABLE agents ADD COLUMN holder_place TEXT;
ALTER TABLE agents ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN leased_at INTEGER;
ALTER TABLE agents ADD COLUMN lease_until INTEGER;
CREATE INDEX agents_by_profile ON agents (profile);
UPDATE agents SET (holder_id, leased_at, lease_until, lease_epoch) = (
  SELECT id, created_at, created_at, 1 FROM tokens
  WHERE agent_id = agents.id AND kind = 'runner' AND revoked_at IS NULL ORDER BY created_at DESC LIMIT 1)
  WHERE EXISTS (SELECT 1 FROM tokens WHERE agent_id = agents.id AND kind = 'runner' AND revoked_at IS NULL);

-- What a host or runner may hand on to agents at most; NULL for those that may hand on everything.
ALTER TABLE tokens ADD COLUMN grants TEXT;
-- Hash of the runtime token that replaced this one.
ALTER TABLE tokens ADD COLUMN successor TEXT;

DROP INDEX tokens_held;
CREATE INDEX tokens_of_agent ON tokens (agent_id) WHERE revoked_at IS NULL;

-- Secrets that were swapped for another. One that comes back with a different successor was stolen or copied.
CREATE TABLE used_secrets (
  hash TEXT PRIMARY KEY,
  token_id TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
  successor TEXT NOT NULL,
  used_at INTEGER NOT NULL,
  -- It is still good until then, for what is on its way.
  valid_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_secrets_of_token ON used_secrets (token_id, used_at);

-- Operators and runners hold all that their kind may hold; there is more of it now.
UPDATE tokens SET scopes = '["message:send","message:read","message:broadcast","agent:read","inbox:read-any","feed:read","runner:enrol","token:admin","agent:admin","profile:admin","audit:read","backup:make","metrics:read"]'
  WHERE kind = 'operator';
UPDATE tokens SET scopes = '["agent:read","inbox:read","receipt:write","presence:write","insight:write","feed:read","lane:deliver","token:mint"]'
  WHERE kind = 'runner';
