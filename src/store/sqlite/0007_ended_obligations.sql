-- A reply that a removed agent owed ends without a message: whoever waited is told of it once.

CREATE TABLE obligations_next_version (
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
INSERT INTO obligations_next_version
  (message_id, debtor_id, creditor_id, opened_at, due_at, step, next_at, closed_at, closed_by, declined)
  SELECT o.message_id, o.debtor_id, o.creditor_id, o.opened_at, o.due_at, o.step,
    CASE WHEN d.removed_at IS NULL THEN o.next_at END, coalesce(o.closed_at, d.removed_at), o.closed_by, o.declined
  FROM obligations o CROSS JOIN agents d ON d.id = o.debtor_id;
DROP TABLE obligations;
ALTER TABLE obligations_next_version RENAME TO obligations;
CREATE INDEX obligations_open ON obligations (debtor_id, opened_at) WHERE closed_at IS NULL;
CREATE INDEX obligations_next ON obligations (next_at) WHERE closed_at IS NULL AND next_at IS NOT NULL;
CREATE INDEX obligations_by_age ON obligations (opened_at) WHERE closed_at IS NULL;
CREATE INDEX obligations_awaited ON obligations (creditor_id, opened_at) WHERE closed_at IS NULL;
CREATE INDEX obligations_closed_by ON obligations (closed_by) WHERE closed_by IS NOT NULL;
CREATE INDEX obligations_ended ON obligations (creditor_id, opened_at) WHERE closed_at IS NOT NULL AND closed_by IS NULL;

-- What is kept of agents that were removed and means nothing any more.
DELETE FROM brakes WHERE agent_id IN (SELECT id FROM agents WHERE removed_at IS NOT NULL);
DELETE FROM presence WHERE agent_id IN (SELECT id FROM agents WHERE removed_at IS NOT NULL);
