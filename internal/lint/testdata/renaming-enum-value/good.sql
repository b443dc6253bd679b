ALTER TYPE state ADD VALUE 'delayed' AFTER 'late';
CREATE TYPE kind AS ENUM ('a');
ALTER TYPE kind RENAME VALUE 'a' TO 'b';
