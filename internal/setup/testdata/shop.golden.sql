-- Drawbridge: roles and schemas of the warehouse schema shop.
-- Run it once, in the warehouse's database, as a role that may create roles and schemas.
BEGIN;

-- The migrator owns the schemas and what is in them. The worker logs in as the runner, which acts as the migrator.
CREATE ROLE "shop_migrator" NOLOGIN;
CREATE ROLE "shop_runner" LOGIN;
CREATE ROLE "shop_reader" NOLOGIN;
GRANT "shop_migrator" TO "shop_runner";
ALTER ROLE "shop_runner" SET role = "shop_migrator";

-- The worker logs in as the author to run what is written in pipelines. It is a member of nothing: it cannot become a role
-- that writes the ledger, and it writes no table but the one that is being built for it.
CREATE ROLE "shop_author" LOGIN;

-- A publish waits for readers with older snapshots: it has to see them. On a person's decision it ends what blocks it.
GRANT pg_read_all_stats, pg_signal_backend TO "shop_migrator", "shop_runner";

-- Loads are staged in temporary tables.
DO $$ BEGIN
	EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I, %I, %I', current_database(), 'shop_migrator', 'shop_runner', 'shop_author');
END $$;

CREATE SCHEMA "shop" AUTHORIZATION "shop_migrator";
CREATE SCHEMA "shop__data" AUTHORIZATION "shop_migrator";
CREATE SCHEMA "shop__ledger" AUTHORIZATION "shop_migrator";
CREATE SCHEMA "shop__shadow" AUTHORIZATION "shop_migrator";

-- Readers see the published tables and nothing else. What pipelines read beside them is to be granted to the author.
GRANT USAGE ON SCHEMA "shop" TO "shop_reader", "shop_author";
GRANT USAGE ON SCHEMA "shop__data" TO "shop_author";
ALTER DEFAULT PRIVILEGES FOR ROLE "shop_migrator" IN SCHEMA "shop" GRANT SELECT ON TABLES TO "shop_reader", "shop_author";

COMMIT;

-- Then give the two logins of the worker passwords, in psql: \password shop_runner and \password shop_author
-- and name both in connections of the environment's policy: url, password and author.
