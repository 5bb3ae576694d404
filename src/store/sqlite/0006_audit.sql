-- The audit log.
SELECT 1;
