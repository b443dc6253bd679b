#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml below examples/containers/secrets: passwords, a signing key per worker, and the public
# keys that the workers trust. What is there already is kept. On Linux run it as root, once: the files of the workers
# must belong to the user of their containers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
worker=65532 # the user of the worker images
mkdir -p -m 700 secrets
cd secrets

password() { openssl rand -hex 24; }

# The servers read theirs under users of their own; the folder keeps everybody else out.
for name in temporal_db_password warehouse_admin_password; do
	[ -e "$name" ] || password >"$name"
	chmod 644 "$name"
done

# Two database logins per environment, as drawbridge setup names them: the worker's own, and the one for SQL of pipelines.
for pair in dev:shop_dev staging:shop_staging prod:shop; do
	env=${pair%%:*} schema=${pair#*:}
	for login in runner author; do
		if [ ! -e "${login}_$env" ]; then
			secret=$(password)
			(umask 077 && echo "$secret" >"${login}_$env" && echo "ALTER ROLE ${schema}_$login PASSWORD '$secret';" >>roles.sql)
		fi
	done
done

for name in workflows dev staging prod; do
	[ -e "signing_key_$name.pem" ] || (umask 077 && openssl genpkey -algorithm ed25519 -out "signing_key_$name.pem")
done
for name in workflows dev staging prod; do
	openssl pkey -in "signing_key_$name.pem" -pubout
done >trusted_keys.pem
chmod 644 trusted_keys.pem

if [ "$(id -u)" = 0 ]; then
	chown "$worker" runner_* author_* signing_key_*.pem
fi
echo "made in $PWD; the passwords of the database roles are in roles.sql"
