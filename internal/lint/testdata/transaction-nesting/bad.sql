-- +goose Up
BEGIN; -- here
SELECT 1;
COMMIT; -- here
