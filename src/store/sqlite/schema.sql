-- Written by tools/schema-dump.ts: do not edit. Schema version 8.

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
  acknowledged_at INTEGER, removed_at INTEGER, holder_id TEXT, holder_place TEXT, lease_epoch INTEGER NOT NULL DEFAULT 0, leased_at INTEGER, lease_until INTEGER, shown_seq INTEGER NOT NULL DEFAULT 0,
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

CREATE TABLE brakes (
  agent_id TEXT PRIMARY KEY REFERENCES agents (id),
  -- Writes of its burst that were used up at that time; fractions count.
  used REAL NOT NULL DEFAULT 0,
  used_at INTEGER NOT NULL DEFAULT 0,
  repeats TEXT NOT NULL DEFAULT '[]',
  quarantined_at INTEGER,
  quarantine_reason TEXT,
  CHECK ((quarantined_at IS NULL) = (quarantine_reason IS NULL))
) STRICT;

CREATE TABLE channel_members (
  channel TEXT NOT NULL REFERENCES channels (name),
  agent_id TEXT NOT NULL REFERENCES agents (id),
  joined_at INTEGER NOT NULL,
  PRIMARY KEY (channel, agent_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE channels (
  name TEXT PRIMARY KEY CHECK (name GLOB '#?*'),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE features (
  name TEXT PRIMARY KEY,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
  expects_reply INTEGER NOT NULL CHECK (expects_reply IN (0, 1)), handed_at INTEGER, injected_at INTEGER, read_at INTEGER, replied_at INTEGER,
  PRIMARY KEY (agent_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE insights (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  agent_id TEXT NOT NULL REFERENCES agents (id),
  kind TEXT NOT NULL,
  -- When it happened on its machine, and when the relay heard of it.
  at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  facts TEXT NOT NULL
) STRICT;

CREATE TABLE lanes (
  store_id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL REFERENCES agents (id),
  session INTEGER NOT NULL CHECK (session > 0),
  opened_at INTEGER NOT NULL
, used INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND session)) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  sender_id TEXT NOT NULL REFERENCES agents (id),
  -- What it was sent to: an agent's name, a #channel or @all.
  recipient TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  -- No reference: a reply may name a message that this database never had or has forgotten; so may a forward.
  reply_to TEXT,
  forward_of TEXT,
  -- How often what it carries was passed on.
  hops INTEGER NOT NULL DEFAULT 0 CHECK (hops >= 0),
  urgent INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1)),
  late INTEGER NOT NULL CHECK (late IN (0, 1)),
  body TEXT NOT NULL,
  created_at INTEGER NOT NULL
, trace TEXT) STRICT;

CREATE TABLE "obligations" (
  message_id TEXT NOT NULL REFERENCES messages (id),
  debtor_id TEXT NOT NULL REFERENCES agents (id),
  creditor_id TEXT NOT NULL REFERENCES agents (id),
  opened_at INTEGER NOT NULL,
  -- When the sender wants the reply; how far it has come (0 opened, 1 and 2 reminded, 3 overdue) and when the next step comes.
  due_at INTEGER,
  step INTEGER NOT NULL DEFAULT 0 CHECK (step BETWEEN 0 AND 3),
  next_at INTEGER,
  -- The reply that closed it, and whether it declined; without one the debtor was removed.
  closed_at INTEGER,
  closed_by TEXT REFERENCES messages (id),
  declined INTEGER NOT NULL DEFAULT 0 CHECK (declined IN (0, 1)),
  -- When its creditor was first told that the debtor was removed.
  told_at INTEGER,
  PRIMARY KEY (message_id, debtor_id),
  CHECK (closed_by IS NULL OR closed_at IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcomes (
  agent_id TEXT NOT NULL REFERENCES agents (id),
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  outcome TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (agent_id, key)
) STRICT;

CREATE TABLE presence (
  agent_id TEXT PRIMARY KEY REFERENCES agents (id),
  state TEXT NOT NULL CHECK (state IN ('starting', 'idle', 'busy', 'waiting_approval')),
  -- When it began, and when it was last confirmed.
  since INTEGER NOT NULL,
  heard_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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

CREATE VIRTUAL TABLE search USING fts5 (body, who, content = '', tokenize = 'unicode61');

CREATE TABLE 'search_config'(k PRIMARY KEY, v) WITHOUT ROWID;

CREATE TABLE 'search_data'(id INTEGER PRIMARY KEY, block BLOB);

CREATE TABLE 'search_docsize'(id INTEGER PRIMARY KEY, sz BLOB);

CREATE TABLE 'search_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;

CREATE TABLE search_progress (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  number INTEGER NOT NULL
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
, grants TEXT, successor TEXT, maker_id TEXT) STRICT;

CREATE TABLE used_secrets (
  hash TEXT PRIMARY KEY,
  token_id TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
  successor TEXT NOT NULL,
  used_at INTEGER NOT NULL,
  -- It is still good until then, for what is on its way.
  valid_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX agents_by_profile ON agents (profile);

CREATE INDEX audit_by_kind ON audit (kind, seq);

CREATE INDEX brakes_quarantined ON brakes (quarantined_at) WHERE quarantined_at IS NOT NULL;

CREATE INDEX channel_members_by_agent ON channel_members (agent_id);

CREATE UNIQUE INDEX inbox_by_message ON inbox (message_id, agent_id);

CREATE INDEX messages_by_thread ON messages (thread_id) WHERE thread_id <> id;

CREATE INDEX obligations_awaited ON obligations (creditor_id, opened_at) WHERE closed_at IS NULL;

CREATE INDEX obligations_by_age ON obligations (opened_at) WHERE closed_at IS NULL;

CREATE INDEX obligations_closed_by ON obligations (closed_by) WHERE closed_by IS NOT NULL;

CREATE INDEX obligations_ended ON obligations (creditor_id, opened_at) WHERE closed_at IS NOT NULL AND closed_by IS NULL;

CREATE INDEX obligations_next ON obligations (next_at) WHERE closed_at IS NULL AND next_at IS NOT NULL;

CREATE INDEX obligations_open ON obligations (debtor_id, opened_at) WHERE closed_at IS NULL;

CREATE INDEX outcomes_by_age ON outcomes (at);

CREATE INDEX tokens_by_maker ON tokens (maker_id) WHERE maker_id IS NOT NULL;

CREATE INDEX tokens_by_parent ON tokens (parent_id) WHERE parent_id IS NOT NULL;

CREATE INDEX tokens_ending ON tokens (expires_at) WHERE kind = 'agent';

CREATE INDEX tokens_of_agent ON tokens (agent_id) WHERE revoked_at IS NULL;

CREATE INDEX used_secrets_of_token ON used_secrets (token_id, used_at);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
