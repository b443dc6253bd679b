-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY orders_day ON orders (ordered_on);
-- +goose Down
DROP INDEX orders_day;
