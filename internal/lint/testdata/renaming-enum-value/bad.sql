ALTER TYPE state RENAME VALUE 'late' TO 'delayed'; -- here
