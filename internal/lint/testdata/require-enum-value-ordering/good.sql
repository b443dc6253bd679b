ALTER TYPE state ADD VALUE 'late' AFTER 'open';
ALTER TYPE state ADD VALUE IF NOT EXISTS 'early' BEFORE 'open';
ALTER TYPE state RENAME VALUE 'done' TO 'closed';
