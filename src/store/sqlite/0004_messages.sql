-- Channels, threads, priorities, staged receipts, full-text search.
SELECT 1;
