-- Channels, priorities, forwards, staged receipts, threads and full-text search.

-- Messages get a number in the order of their commits: pages, pruning and search go along it.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE messages_before AS SELECT * FROM messages ORDER BY rowid;
DROP TABLE messages;
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
) STRICT;
INSERT INTO messages (id, sender_id, recipient, thread_id, reply_to, late, body, created_at)
  SELECT id, sender_id, recipient, thread_id, reply_to, late, body, created_at FROM messages_before
  ORDER BY rowid;
DROP TABLE messages_before;
-- A message that begins its thread is found by its own id: most do, and cost nothing here.
CREATE INDEX messages_by_thread ON messages (thread_id) WHERE thread_id <> id;

-- How far a message has got at one recipient, each step with its time; steps may be missing.
ALTER TABLE inbox ADD COLUMN handed_at INTEGER;
ALTER TABLE inbox ADD COLUMN injected_at INTEGER;
ALTER TABLE inbox ADD COLUMN read_at INTEGER;
ALTER TABLE inbox ADD COLUMN replied_at INTEGER;
UPDATE inbox SET read_at = a.acknowledged_at FROM agents a
  WHERE a.id = inbox.agent_id AND inbox.seq <= a.acknowledged_seq;
-- Up to here the agent was shown its inbox; what is shown again is marked.
ALTER TABLE agents ADD COLUMN shown_seq INTEGER NOT NULL DEFAULT 0;

-- Channels begin when somebody joins and end when the last one leaves. Names are stored with their #.
CREATE TABLE channels (
  name TEXT PRIMARY KEY CHECK (name GLOB '#?*'),
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE channel_members (
  channel TEXT NOT NULL REFERENCES channels (name),
  agent_id TEXT NOT NULL REFERENCES agents (id),
  joined_at INTEGER NOT NULL,
  PRIMARY KEY (channel, agent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_members_by_agent ON channel_members (agent_id);

-- Words of messages by their number. `who` holds sender and recipients, so that a search finds only what the asker
-- may see. Filled behind the writes: `search_progress` says up to which number.
CREATE VIRTUAL TABLE search USING fts5 (body, who, content = '', tokenize = 'unicode61');
CREATE TABLE search_progress (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  number INTEGER NOT NULL
) STRICT;
INSERT INTO search_progress (one, number) VALUES (1, 0);

-- A message that closed an obligation is looked for before it is forgotten.
CREATE INDEX obligations_closed_by ON obligations (closed_by) WHERE closed_by IS NOT NULL;
