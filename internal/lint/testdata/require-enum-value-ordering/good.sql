ALTER TYPE state ADD VALUE 'late' AFTER 'open';
ALTER TYPE state ADD VALUE IF NOT EXISTS 'early' BEFORE 'open';
CREATE TYPE kind AS ENUM ('a', 'b');
