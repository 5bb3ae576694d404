-- The session of a lane that delivered or asked last: older ones are fenced, a newer one takes over when it is used.
ALTER TABLE lanes ADD COLUMN used INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND session);
