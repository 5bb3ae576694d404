-- Profiles, leases of agents to runners, renewals of tokens.
SELECT 1;
