CREATE SCHEMA store;
CREATE VIEW store.orders AS SELECT id, amount FROM shop.orders;
CREATE SCHEMA draft;
ALTER SCHEMA draft RENAME TO ready;
