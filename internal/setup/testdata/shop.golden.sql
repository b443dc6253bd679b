-- Drawbridge: roles and schemas of the warehouse schema shop.
-- Run it once, in the warehouse's database, as a role that may create roles and schemas.
BEGIN;

-- The migrator owns the schemas and what is in them. The worker logs in as the runner, which acts as the migrator.
CREATE ROLE "shop_migrator" NOLOGIN;
CREATE ROLE "shop_runner" LOGIN;
CREATE ROLE "shop_reader" NOLOGIN;
GRANT "shop_migrator" TO "shop_runner";
ALTER ROLE "shop_runner" SET role = "shop_migrator";

-- A publish waits for readers with older snapshots: it has to see them. On a person's decision it ends what blocks it.
GRANT pg_read_all_stats, pg_signal_backend TO "shop_migrator", "shop_runner";

-- Loads are staged in temporary tables.
DO $$ BEGIN
	EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I, %I', current_database(), 'shop_migrator', 'shop_runner');
END $$;

CREATE SCHEMA "shop" AUTHORIZATION "shop_migrator";
CREATE SCHEMA "shop__data" AUTHORIZATION "shop_migrator";
CREATE SCHEMA "shop__ledger" AUTHORIZATION "shop_migrator";
CREATE SCHEMA "shop__shadow" AUTHORIZATION "shop_migrator";

-- Readers see the published tables and nothing else.
GRANT USAGE ON SCHEMA "shop" TO "shop_reader";
ALTER DEFAULT PRIVILEGES FOR ROLE "shop_migrator" IN SCHEMA "shop" GRANT SELECT ON TABLES TO "shop_reader";

COMMIT;

-- Then give the worker's role a password, in psql: \password shop_runner
