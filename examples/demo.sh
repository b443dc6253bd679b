#!/usr/bin/env bash
# Four releases of examples/shop, a backfill of its month and a schedule that fires, told with real calls of the CLI on a real Temporal
# server and a real Postgres. Whatever does not go as the story says ends it with exit code 1. Run it with: make demo
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

demo=.drawbridge/demo
keep=${KEEP:-}

# What bin/drawbridge env prints leads to the local stack; where both addresses are set already, they are used as they are.
own_stack=no
if [ -z "${TEMPORAL_ADDRESS:-}" ] || [ -z "${DRAWBRIDGE_WAREHOUSE:-}" ]; then
	own_stack=yes
	environment=$(bin/drawbridge env)
	eval "$environment"
fi
export DRAWBRIDGE_WAREHOUSE # the workers' one connection: the demo's policies name none
# Each demo begins with a store and schemas of its own: it is always the first deployment.
export DRAWBRIDGE_STORE=$PWD/$demo/store
export DRAWBRIDGE_USER=ada
run=$(date +%m%d%H%M%S)

drawbridge() { bin/drawbridge "$@"; }
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
failed=
fail() {
	failed=yes
	printf '\n\033[31mThe demo did not go as it should: %s\033[0m\nLogs of the workers: %s/worker-*.log\n' "$*" "$demo" >&2
	exit 1
}

# expect CODE COMMAND…: shows the command, runs it, and holds its exit code to the story.
expect() {
	local want=$1 got=0 word typed=
	shift
	for word in "$@"; do
		case $word in *\ *) word="'$word'" ;; esac
		typed="$typed $word"
	done
	printf '\n\033[36m$%s\033[0m\n' "$typed"
	"$@" || got=$?
	[ "$got" = "$want" ] || fail "exit code $got instead of $want:$typed"
}

# asks PATTERN COMMAND…: awaits that the command says a person is waited for, and what for; then it shows it.
asks() {
	local pattern=$1 said code
	shift
	for _ in $(seq 300); do
		code=0
		said=$("$@") || code=$?
		if [ "$code" = 4 ] && grep -q "$pattern" <<<"$said"; then
			expect 4 "$@"
			return
		fi
		sleep 0.2
	done
	fail "exit code $code, and no '$pattern': $said"
}

# field NAME: the first value of that name in indented JSON on stdin.
field() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }

checksum() { drawbridge checksum shop --env "$1" --output fct_orders --json | field checksum; }
active() { drawbridge history shop --env "$1" --json | field version; }

chapter() {
	[ -z "${title:-}" ] || printf '\n(%d s)\n' $((SECONDS - began))
	began=$SECONDS title=$1
	say "━━ $1"
}

start_worker() {
	local env=$1
	shift
	set -m # a process group of its own: Ctrl-C ends the story first, which then stops its workers
	bin/drawbridge-worker --env "$env" "$@" --policies examples/policies --source-root "$demo" \
		--key "$demo/signing-key.pem" >"$demo/worker-$env.log" 2>&1 &
	set +m
	echo $! >"$demo/worker-$env.pid"
}

start_workers() {
	start_worker dev --workflows
	start_worker staging
	start_worker prod
	await_workers
}

# await_workers: a worker has opened its store, and polls, within a few seconds.
await_workers() {
	for _ in $(seq 100); do
		! drawbridge doctor --env dev --env staging --env prod >/dev/null 2>&1 || return 0
		sleep 0.2
	done
	drawbridge doctor --env dev --env staging --env prod || true
	fail "the workers do not poll"
}

stop_workers() {
	local file pid
	for file in "$demo"/worker-*.pid; do
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		# A PID may have been given to another program since.
		case $(ps -o args= -p "$pid" 2>/dev/null) in
		*drawbridge-worker*)
			kill "$pid"
			for _ in $(seq 100); do
				kill -0 "$pid" 2>/dev/null || break
				sleep 0.1
			done
			;;
		esac
		rm -f "$file"
	done
}

finish() {
	local code=$?
	trap - EXIT
	case $code in
	0 | 130) ;;
	*) [ -n "$failed" ] || printf '\n\033[31mThe demo stopped: a command failed with exit code %d\033[0m\nLogs of the workers: %s/worker-*.log\n' "$code" "$demo" >&2
		code=1 ;;
	esac
	if [ -n "$keep" ]; then
		printf '\nStack and workers are still up.\n  look around: eval "$(bin/drawbridge env)"; export DRAWBRIDGE_STORE=%s; bin/drawbridge status\n  stop them:   kill $(cat %s/worker-*.pid); make down\n' "$DRAWBRIDGE_STORE" "$demo"
		exit "$code"
	fi
	stop_workers
	[ "$own_stack" = no ] || make down
	exit "$code"
}

# lay VERSION: the folder of a release is examples/shop with its changed files laid over it.
lay() {
	cp -R examples/shop "$demo/$1"
	rm -rf "$demo/$1/data" "$demo/$1/generate"
	[ "$1" = 1.0.0 ] || cp -R "examples/demo/$1/." "$demo/$1/"
	sed -i.bak "s/^warehouse_schema: shop/&_$run/" "$demo/$1"/config.*.yaml
	rm "$demo/$1"/*.bak
}

# is_open: a deployment of an interrupted demo has not ended.
is_open() {
	case $(drawbridge status shop --json 2>/dev/null | field stage) in
	"" | done | refused | rolled_back | stuck | abandoned) return 1 ;;
	esac
}

# settle takes a deployment back that nobody waits for any more.
settle() {
	drawbridge cancel shop
	drawbridge status shop --watch || true
}

trap finish EXIT
trap 'exit 130' INT TERM
if [ -e "$demo/store" ] && is_open; then
	say "An earlier demo was interrupted: its deployment is turned back first"
	stop_workers
	start_workers
	settle
fi
stop_workers
rm -rf "$demo"
mkdir -p "$demo"

chapter "A shop, three environments, one worker for each"
go run ./examples/shop/generate -out "$demo/shop/data"
orders=$(($(cat "$demo"/shop/data/orders_*.csv | wc -l) - $(ls "$demo"/shop/data/orders_*.csv | wc -l)))
for version in 1.0.0 1.1.0 1.2.0 1.3.0; do lay "$version"; done
sed "s/^warehouse_schema: shop/&_$run/" examples/demo/config.prod.yaml >"$demo/config.prod.yaml"
start_workers
expect 0 drawbridge doctor --env dev --env staging --env prod
expect 0 drawbridge validate "$demo/1.0.0" --env dev

chapter "1.0.0: the first release. prod asks a person"
expect 4 drawbridge deploy "$demo/1.0.0" --to prod --config "prod=$demo/config.prod.yaml" --reason "first release"
expect 0 drawbridge approve shop --gate approval-prod --as grace --reason "numbers look right" --watch
expect 0 drawbridge checksum shop --env prod --output fct_orders
rows=$(drawbridge checksum shop --env prod --output fct_orders --json | field rows)
[ "$rows" = "$orders" ] || fail "fct_orders has $rows rows, and the files have $orders"
first=$(checksum prod)

chapter "1.1.0: a new column, through canary, approval and watch"
expect 0 drawbridge plan "$demo/1.1.0" --to prod --rebuild all --config "prod=$demo/config.prod.yaml"
expect 4 drawbridge deploy "$demo/1.1.0" --to prod --rebuild all --config "prod=$demo/config.prod.yaml" --reason "finance needs currencies"
expect 0 drawbridge approve shop --gate approval-prod --as grace --reason "only a new column" --watch
good=$(checksum prod)
[ "$(active prod)" = 1.1.0 ] || fail "prod does not run 1.1.0"
[ "$good" != "$first" ] || fail "the new column did not reach prod"

chapter "1.2.0: doubles the amounts of partners by mistake. The canary stops it in dev"
expect 2 drawbridge deploy "$demo/1.2.0" --to prod --config "prod=$demo/config.prod.yaml" --reason "partners pay in two halves"
verdict=$(drawbridge status shop) || true # its exit code says refused, too
grep -q 'amount changed in' <<<"$verdict" || fail "the canary does not say what changed: $verdict"
stopped=$(checksum prod)
[ "$stopped" = "$good" ] || fail "prod changed"

chapter "1.3.0: a sale that begins on the newest day, compared the wrong way round"
# The canary builds the newest day, which is right. The six days before it are wrong, and each of them passes its audit.
expect 4 drawbridge deploy "$demo/1.3.0" --to prod --rebuild last=7 --compensate all --config "prod=$demo/config.prod.yaml" --reason "winter sale"
expect 3 drawbridge approve shop --gate approval-prod --as grace --reason "canary and audits passed" --watch
after=$(checksum prod)
[ "$after" = "$good" ] || fail "the table is not what it was: checksum $after, before $good"
for env in dev staging prod; do
	[ "$(active "$env")" = 1.1.0 ] || fail "$env does not run 1.1.0"
	[ "$(checksum "$env")" = "$good" ] || fail "the data of $env did not go back"
done
expect 0 drawbridge history shop --env prod

chapter "dev runs by itself from now on"
# Every minute, the partition that its lag reaches back to: the shop's month is over, and that is its 30th day.
now=$(date -u +%s)
month_ended=$(date -u -d 2026-01-30 +%s 2>/dev/null || date -ju -f %F-%T 2026-01-30-00:00:00 +%s)
due=2026-01-30 lag=$(((now - month_ended) / 86400))d
cp "$demo/1.1.0/config.dev.yaml" "$demo/config.dev.yaml"
echo "schedule: {cron: \"* * * * *\", lag: $lag, catchup: 1m}" >>"$demo/config.dev.yaml"
expect 0 drawbridge deploy "$demo/1.1.0" --to dev --config "dev=$demo/config.dev.yaml" --reason "dev follows its files"
expect 0 drawbridge schedule next shop --env dev --count 2
[ "$(checksum dev)" = "$good" ] || fail "the schedule changed the data of dev"

chapter "The files of the whole month were corrected: a backfill with a pause, a file that cannot be read, and its way back"
month=backfill/shop/prod/2026-01-01..2026-01-31
for file in "$demo"/shop/data/orders_*.csv; do # what was sold in the store was ten cents more
	awk -F, -v OFS=, 'NR > 1 && $3 == "store" { $5 = sprintf("%.2f", $5 + 0.1) } { print }' "$file" >"$file.new"
	mv "$file.new" "$file"
done
poisoned=$demo/shop/data/orders_2026-01-17.csv
cp "$poisoned" "$demo/orders.csv"
sed '2s/,[^,]*,\([^,]*\)$/,ten euros,\1/' "$demo/orders.csv" >"$poisoned"
expect 0 drawbridge backfill shop --env prod --from 2026-01-01 --to 2026-01-31 --dry-run
expect 4 drawbridge backfill shop --env prod --from 2026-01-01 --to 2026-01-31 --reason "the store's prices were corrected"
expect 0 drawbridge pause "$month" --reason "after the morning's reports"
expect 0 drawbridge approve "$month" --as grace --reason "a month is fine"
asks 'it holds since' drawbridge status "$month"
[ "$(checksum prod)" = "$good" ] || fail "the backfill did not wait"
expect 0 drawbridge resume "$month"
asks 2026-01-17 drawbridge status "$month"
cp "$demo/orders.csv" "$poisoned"
expect 0 drawbridge retry-failed "$month"
expect 0 drawbridge status "$month" --watch
corrected=$(checksum prod)
[ "$corrected" != "$good" ] || fail "the correction did not reach prod"
expect 0 drawbridge backfill rollback "$month" --reason "the correction is to come next month"
undone=$(checksum prod)
[ "$undone" = "$good" ] || fail "the table is not what it was: checksum $undone, before $good"

chapter "What the schedule of dev did meanwhile"
# A minute begins at most 60 seconds after the correction, and its run takes a few more. What is compared until then has to stay so.
by_itself=$good
echo "waiting for the next whole minute, in which the schedule runs dev with the corrected file (at most 70 seconds)"
for _ in $(seq 70); do
	[ "$(checksum prod)" = "$good" ] || fail "the schedule of dev changed prod"
	by_itself=$(checksum dev)
	[ "$by_itself" = "$good" ] || break
	sleep 0.5
done
[ "$by_itself" != "$good" ] || fail "no run has fired in dev"
fired=$(drawbridge schedule list --json | field last)
expect 0 drawbridge schedule pause shop --env dev --reason "the demo is over"
expect 0 drawbridge status "$fired" --watch
expect 0 drawbridge schedule list
expect 0 drawbridge history shop --env dev --output fct_orders --partition "$due"
[ "$(checksum staging)" = "$good" ] || fail "the schedule of dev changed staging"

printf '\n(%d s)\n' $((SECONDS - began))
say "━━ What happened"
printf '%-8s %-42s %-38s %s\n' release change end "prod: fct_orders" \
	1.0.0 "first release" "live in prod, approved by grace" "$first" \
	1.1.0 "adds currency_code" "live in prod, approved by grace" "$good" \
	1.2.0 "doubles the amounts of partners" "stopped by the canary in dev" "$stopped" \
	1.3.0 "discounts six days that its canary missed" "rolled back to 1.1.0 by the watch" "$after" \
	backfill "31 days of corrected files" "live in prod, approved by grace" "$corrected" \
	rollback "of the backfill" "as before it" "$undone"
printf '\ndev ran %s by itself, for %s, with the corrected file.\n' "$due" "${fired#scheduled/shop/dev-}"
printf '\n%d orders in prod; the table after 1.3.0, and after the rollback of the backfill, has the checksum that it had before. All in %d s.\n' "$rows" "$SECONDS"
[ -z "${DRAWBRIDGE_UI:-}" ] || printf 'Web UI: %s%s\n' "$DRAWBRIDGE_UI" "$([ -n "$keep" ] || [ "$own_stack" = no ] || echo '   (KEEP=1 make demo leaves it up)')"
