-- Due times and reminders of obligations, presence, quarantine, insights.
SELECT 1;
