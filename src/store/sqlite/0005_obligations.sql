-- Due times of replies that are owed, brakes, presence, insights, features.

-- When the sender wants the reply; how far it has come (0 opened, 1 and 2 reminded, 3 overdue) and when the next step
-- comes; whether the closing reply declined it.
ALTER TABLE obligations ADD COLUMN due_at INTEGER;
ALTER TABLE obligations ADD COLUMN step INTEGER NOT NULL DEFAULT 0 CHECK (step BETWEEN 0 AND 3);
ALTER TABLE obligations ADD COLUMN next_at INTEGER;
ALTER TABLE obligations ADD COLUMN declined INTEGER NOT NULL DEFAULT 0 CHECK (declined IN (0, 1));
UPDATE obligations SET next_at = opened_at WHERE closed_at IS NULL;
CREATE INDEX obligations_next ON obligations (next_at) WHERE closed_at IS NULL AND next_at IS NOT NULL;
CREATE INDEX obligations_by_age ON obligations (opened_at) WHERE closed_at IS NULL;
CREATE INDEX obligations_awaited ON obligations (creditor_id, opened_at) WHERE closed_at IS NULL;

-- What each sender has left of its rate, the bodies it repeats (JSON), and whether its writes are stopped.
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
CREATE INDEX brakes_quarantined ON brakes (quarantined_at) WHERE quarantined_at IS NOT NULL;

-- What runners last said their agents do.
CREATE TABLE presence (
  agent_id TEXT PRIMARY KEY REFERENCES agents (id),
  state TEXT NOT NULL CHECK (state IN ('starting', 'idle', 'busy', 'waiting_approval')),
  -- When it began, and when it was last confirmed.
  since INTEGER NOT NULL,
  heard_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Notable events that runners reported. Numbers grow; the oldest are forgotten.
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

-- Features that people have switched; one without a row is as the program has it.
CREATE TABLE features (
  name TEXT PRIMARY KEY,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
