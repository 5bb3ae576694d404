-- Written by tools/schema-dump.ts: do not edit. Schema version 6.

CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('agent', 'operator')),
  provider TEXT NOT NULL,
  machine TEXT NOT NULL,
  profile TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER,
  newest_seq INTEGER NOT NULL DEFAULT 0,
  acknowledged_seq INTEGER NOT NULL DEFAULT 0,
  acknowledged_at INTEGER,
  CHECK ((kind = 'operator') = (name = 'operator')),
  CHECK (acknowledged_seq BETWEEN 0 AND newest_seq)
) STRICT;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY CHECK (seq > 0),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  actor_token TEXT,
  actor_name TEXT,
  subject TEXT,
  facts TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

CREATE TABLE identity (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  relay_id TEXT NOT NULL,
  generation INTEGER NOT NULL CHECK (generation > 0),
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE inbox (
  agent_id TEXT NOT NULL REFERENCES agents (id),
  seq INTEGER NOT NULL CHECK (seq > 0),
  message_id TEXT NOT NULL REFERENCES messages (id),
  expects_reply INTEGER NOT NULL CHECK (expects_reply IN (0, 1)),
  PRIMARY KEY (agent_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
  store_id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL REFERENCES agents (id),
  session INTEGER NOT NULL CHECK (session > 0),
  opened_at INTEGER NOT NULL
, used INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND session)) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
  id TEXT PRIMARY KEY,
  sender_id TEXT NOT NULL REFERENCES agents (id),
  -- The name it was sent to.
  recipient TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  -- No reference: a reply may name a message that this database never had.
  reply_to TEXT,
  late INTEGER NOT NULL CHECK (late IN (0, 1)),
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE obligations (
  message_id TEXT NOT NULL REFERENCES messages (id),
  debtor_id TEXT NOT NULL REFERENCES agents (id),
  creditor_id TEXT NOT NULL REFERENCES agents (id),
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  closed_by TEXT REFERENCES messages (id),
  PRIMARY KEY (message_id, debtor_id),
  CHECK ((closed_at IS NULL) = (closed_by IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE outcomes (
  agent_id TEXT NOT NULL REFERENCES agents (id),
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  outcome TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (agent_id, key)
) STRICT;

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('operator', 'host', 'runner', 'agent')),
  agent_id TEXT REFERENCES agents (id),
  -- No reference: a parent may be pruned before its children are.
  parent_id TEXT,
  profile TEXT,
  scopes TEXT NOT NULL,
  note TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  last_used_at INTEGER
) STRICT;

CREATE INDEX audit_by_kind ON audit (kind, seq);

CREATE UNIQUE INDEX inbox_by_message ON inbox (message_id, agent_id);

CREATE INDEX obligations_open ON obligations (debtor_id, opened_at) WHERE closed_at IS NULL;

CREATE INDEX outcomes_by_age ON outcomes (at);

CREATE INDEX tokens_by_parent ON tokens (parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX tokens_ending ON tokens (expires_at) WHERE kind = 'agent';

CREATE INDEX tokens_held ON tokens (agent_id) WHERE kind = 'runner' AND revoked_at IS NULL;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
