package pipeline

import (
	"regexp"
	"slices"

	"drawbridge/internal/cutover"
	"drawbridge/internal/notice"
	"drawbridge/internal/schedule"
	"drawbridge/internal/strictyaml"
	"drawbridge/internal/window"
)

// Document is one kind of file that a person writes.
type Document string

// The documents.
const (
	PipelineDocument Document = "pipeline"
	ConfigDocument   Document = "config"
	PolicyDocument   Document = "policy"
	TestDocument     Document = "test"
	// MigrationDocument is what is to become of one table that others write.
	MigrationDocument Document = "migration"
)

// Documents lists every document: each has a table below and a published JSON Schema.
func Documents() []Document {
	return []Document{PipelineDocument, ConfigDocument, PolicyDocument, TestDocument, MigrationDocument}
}

func (d Document) shape() strictyaml.Shape {
	switch d {
	case PipelineDocument:
		return pipelineShape()
	case ConfigDocument:
		return configShape()
	case PolicyDocument:
		return policyShape()
	case TestDocument:
		return testShape()
	case MigrationDocument:
		return migrationShape()
	default:
		return strictyaml.Shape{Kind: strictyaml.Object}
	}
}

func (d Document) title() string {
	switch d {
	case PipelineDocument:
		return "pipeline.yaml: a Drawbridge pipeline"
	case ConfigDocument:
		return "config.<env>.yaml: what differs between environments"
	case PolicyDocument:
		return "policy.<env>.yaml: the rules of an environment, a file of its worker"
	case MigrationDocument:
		return "migrations/NNNN_name.yaml: a change of a table that others read and write"
	default:
		return "tests/*.yaml: given rows and expected rows of a pipeline"
	}
}

var (
	identifierPattern  = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)
	namePattern        = regexp.MustCompile(`^[a-z][a-z0-9]*([_-][a-z0-9]+)*$`)
	environmentPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)
	filePattern        = regexp.MustCompile(`^[^/\\\x00][^\\\x00]*$`)
	columnPattern      = regexp.MustCompile(`^[^\x00]{1,63}$`)
	typePattern        = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ .]*(\( *[0-9]+( *, *[0-9]+)? *\))?[A-Za-z ]*(\[\])*$`)
	latestPattern      = regexp.MustCompile(`^latest [1-9][0-9]{0,5}$`)
	absolutePattern    = regexp.MustCompile(`^/.+`)
	schemaPattern      = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)
	referencePattern   = regexp.MustCompile(`^\$\{(env|file):[^{}]+\}$`)
	webPattern         = regexp.MustCompile(`^https?://[^\s<>"]+$`)
	mailPattern        = regexp.MustCompile(`^[^\s@<>,]+@[^\s@<>,]+$`)
	serverPattern      = regexp.MustCompile(`^[A-Za-z0-9_.-]+:[0-9]{1,5}$`)
)

const identifierWords = "a lower-case identifier of at most 40 letters, digits and underscores"

func identifierShape() strictyaml.Shape {
	return strictyaml.Matching(identifierPattern, identifierWords)
}

func columnShape() strictyaml.Shape {
	return nameShape("a column name")
}

// nameShape is the name of something in the server; what says in words of what.
func nameShape(what string) strictyaml.Shape {
	return strictyaml.Matching(columnPattern, what+" of at most 63 characters")
}

func fileShape() strictyaml.Shape {
	return strictyaml.Matching(filePattern, "a path inside the folder, with slashes")
}

func pipelineShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{
			Name: "name", Required: true, Shape: strictyaml.Matching(namePattern, "lower-case words joined by _ or -, such as taxi_trips"),
			Doc: "The pipeline's name; releases are tagged NAME-VERSION.", Examples: []string{"shop", "store"},
		},
		strictyaml.Key{
			Name: "version", Required: true, Shape: strictyaml.Sentence(),
			Doc: "The semantic version of the next release: MAJOR.MINOR.PATCH.", Examples: []string{"1.0.0", "1.1.0-rc.1"},
		},
		strictyaml.Key{Name: "owner", Required: true, Shape: strictyaml.Sentence(), Doc: "Who is asked and told.", Examples: []string{"sales-data", "team-b"}},
		strictyaml.Key{Name: "description", Shape: strictyaml.Sentence(), Doc: "What a row of the data is.", Examples: []string{"Orders of the shop.", "Other words."}},
		strictyaml.Key{Name: "runbook", Shape: strictyaml.Matching(webPattern, "a URL that begins with https:// or http://"), Doc: "Where people read what to do when something is wrong; what they are told has the link.", Examples: []string{"https://wiki.example.com/shop", "https://wiki.example.com/orders"}},
		strictyaml.Key{
			Name: "environments", Shape: strictyaml.ListOf(strictyaml.Matching(environmentPattern, "the name of an environment")),
			Doc: "The environments in the order in which a deployment crosses them; each has a config.<env>.yaml. By default those with a config, in the order dev, staging, prod, then by name.", Examples: []string{"[dev, prod]", "[prod, dev]"},
		},
		strictyaml.Key{
			Name: "partition", Required: true, Shape: partitionShape(),
			Doc: "How outputs are cut into partitions, the unit of (re)processing.", Examples: []string{"all", "{by: day, column: order_date}"},
		},
		strictyaml.Key{
			Name: "steps", Shape: strictyaml.ListOf(stepShape()),
			Doc: "What builds the relations that outputs read; they exist within a run only.", Examples: []string{"[{load: {name: raw_orders, file: orders.csv}}]"},
		},
		strictyaml.Key{
			Name: "outputs", Required: true, Shape: strictyaml.ListOf(outputShape()),
			Doc: "The tables that the pipeline produces; those of one partition are published in one transaction.",
		},
		strictyaml.Key{Name: "smoke", Shape: smokeShape(), Preset: "{}", Doc: "Which partitions are built first, and how long that may take."},
		strictyaml.Key{Name: "canary", Shape: canaryShape(), Preset: "{}", Doc: "Which partitions are compared with the live ones, and what may change."},
		strictyaml.Key{Name: "watch", Shape: watchShape(), Doc: "The window after a publish in which the published tables are checked."},
		strictyaml.Key{Name: "tests", Shape: fileShape(), Preset: "tests/", Doc: "The folder of unit tests: given rows, expected rows.", Examples: []string{"tests/", "more_tests/"}},
		strictyaml.Key{Name: "pack", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "allow", Required: true, Shape: strictyaml.ListOf(fileShape()), Doc: "Globs of files over 10 MiB that are packed.", Examples: []string{`["seeds/*.sql"]`, `["models/*.bin"]`}},
		), Doc: "What a release may hold beyond the default."},
		strictyaml.Key{Name: "schedule", Later: true},
		strictyaml.Key{Name: "schedules", Later: true},
	)
}

func partitionShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{
			Name: "by", Required: true, Shape: strictyaml.OneOf("hour", "day", "week", "month", "year", "all").OrElse(strictyaml.Shape{Kind: strictyaml.Object, Single: true, Keys: []strictyaml.Key{
				{Name: "range", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "The width of a partition of integers.", Examples: []string{"100000", "5000"}},
				{
					Name: "list", Shape: strictyaml.Shape{Kind: strictyaml.List, Elem: new(strictyaml.Shape{Kind: strictyaml.Cell}), Filled: true}.
						OrElse(strictyaml.DictOf(strictyaml.Shape{Kind: strictyaml.Cell}).AtLeastOne()),
					Doc: "The values of the column, a partition each, the latest last. Each is the partition's name, or has one: {web: 1, other: null}. null is the rows without a value.", Examples: []string{"[web, store]", "{web: 1, store: 2, unknown: null}"},
				},
			}}),
			Doc: "The grain.", Examples: []string{"day", "month"},
		},
		strictyaml.Key{Name: "column", Shape: columnShape(), Doc: "The column that outputs are partitioned by.", Examples: []string{"order_date", "booked_on"}},
		strictyaml.Key{
			Name: "batch", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 2},
			Doc: "How many neighbouring partitions one statement may build from files without @partition: you say that each SELECT gives for a range what it gives for its partitions one by one. It is tried before it is relied on.", Examples: []string{"31", "7"},
		},
		strictyaml.Key{Name: "timezone", Shape: strictyaml.Sentence(), Doc: "The IANA timezone in which hours, days, weeks, months and years begin, and the timezone of the sessions in which the pipeline's SQL runs; UTC by default.", Examples: []string{"Europe/Berlin", "Asia/Tokyo"}},
	).OrElse(strictyaml.OneOf("all"))
}

func stepShape() strictyaml.Shape {
	return strictyaml.Shape{Kind: strictyaml.Object, Single: true, Keys: []strictyaml.Key{
		{Name: "load", Doc: "Copies files into a relation of the run.", Shape: strictyaml.ObjectOf(slices.Concat([]strictyaml.Key{
			{Name: "name", Required: true, Shape: identifierShape(), Doc: "The relation's name, for the SQL of outputs.", Examples: []string{"raw_orders", "other_orders"}},
			{
				Name: "file", Required: true, Shape: fileShape(),
				Doc: "What the files are called, relative to source_files of the config: @partition is the partition key, {date:%Y%m%d} a date that says it, {store} a text that rows have as \"@file.store\", and there are *, ? and [a-z]. Without @partition and dates they are loaded once for all partitions that are built from them.", Examples: []string{"data/orders_@partition.csv", "stores/*/sales_{store}_{date:%Y%m%d}.csv"},
			},
		}, formKeys())...)},
		{Name: "extract", Doc: "Copies what a SELECT returns in another Postgres into a relation of the run.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "name", Required: true, Shape: identifierShape(), Doc: "The relation's name, for the SQL of outputs.", Examples: []string{"customers", "other_customers"}},
			strictyaml.Key{Name: "from", Shape: identifierShape(), Preset: SourceDB, Doc: "Where the SELECT is run: source_db, which each config names, or the name of a connection of each environment's policy. The policy has to allow it: use: [source].", Examples: []string{"source_db", "crm"}},
			strictyaml.Key{Name: "sql", Required: true, Shape: fileShape(), Doc: "The file with the one SELECT. With @partition, @partition_start or @partition_end in it, it is read for each partition; without them, once for all partitions that are built from it.", Examples: []string{"sql/customers.sql", "sql/customers_v2.sql"}},
			strictyaml.Key{
				Name: "columns", Shape: strictyaml.DictOf(strictyaml.Matching(typePattern, "a Postgres type such as numeric(12,2)")),
				Doc: "Columns of the SELECT with the Postgres types that they are to have; where the source has others, nothing is read. A column that is not listed has the type that it has there.", Examples: []string{"{customer_id: bigint}", "{customer_id: integer}"},
			},
			strictyaml.Key{Name: "column", Shape: columnShape(), Doc: "The column of the SELECT that says in which partition a row is. With it the source is asked which partitions there are; without it all rows are read to find that out.", Examples: []string{"changed_on", "booked_on"}},
			strictyaml.Key{Name: "timeout", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "10m", Doc: "How long one reading may take.", Examples: []string{"30m", "2h"}},
		)},
		{Name: "command", Later: true},
	}}
}

func outputShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "table", Required: true, Shape: identifierShape(), Doc: "The table's name in the environment's schema.", Examples: []string{"fct_orders", "fct_sales"}},
		strictyaml.Key{Name: "sql", Required: true, Shape: fileShape(), Doc: "The file with the one SELECT that builds a partition; @partition, @partition_start and @partition_end are bound parameters, for a list @partition and @partition_value.", Examples: []string{"sql/fct_orders.sql", "sql/fct_orders_v2.sql"}},
		strictyaml.Key{Name: "partition", Shape: strictyaml.OneOf("all"), Doc: "all: the whole table is one partition and swaps as one. By default the pipeline's partition.", Examples: []string{"all"}},
		strictyaml.Key{Name: "key", Shape: strictyaml.ListOf(columnShape()), Doc: "The columns that name a row, unique within a partition.", Examples: []string{"[order_id]", "[order_id, channel]"}},
		strictyaml.Key{Name: "indexes", Shape: strictyaml.ListOf(strictyaml.ListOf(columnShape())), Doc: "Indexes, each a list of columns.", Examples: []string{"[[channel]]", "[[channel], [order_date, channel]]"}},
		strictyaml.Key{Name: "checks", Required: true, Shape: strictyaml.ListOf(checkShape()), Doc: "What is audited on every generation before it is published."},
		strictyaml.Key{Name: "version_column", Shape: columnShape(), Doc: "Where an environment merges: the column that says which of two rows of a key is newer; an older one never replaces a newer one. By default the one that comes last is.", Examples: []string{"ordered_at", "order_date"}},
		strictyaml.Key{Name: "delete_when", Shape: strictyaml.Sentence(), Doc: "Where an environment merges: a boolean expression over the columns of the SELECT; a row for which it is true takes its key out of the table.", Examples: []string{`"amount IS NULL"`, `"channel = 'cancelled'"`}},
		strictyaml.Key{Name: "repeatable", Doc: "Turns off that the newest partition of a deployment's smoke is built twice from the same inputs, and must be the same.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "is", Required: true, Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Doc: "false: the SELECT gives other rows each time, and is right all the same.", Examples: []string{"false"}},
			strictyaml.Key{Name: "because", Required: true, Shape: strictyaml.Sentence(), Doc: "Why; plans show it.", Examples: []string{"ids are drawn anew", "it samples rows"}},
		)},
		strictyaml.Key{Name: "lint", Doc: "Silences rules that look at the SELECT, each with the reason why it is right here.", Shape: strictyaml.ObjectOf(lintKeys()...)},
		strictyaml.Key{Name: "contract", Shape: fileShape(), Doc: "A file of the Open Data Contract Standard, version 3: its columns are rules of the plan, what it says of rows joins the checks, and its readers are named where it is broken.", Examples: []string{"contracts/orders.odcs.yaml", "contracts/orders_v2.odcs.yaml"}},
		strictyaml.Key{Name: "key_scope", Shape: strictyaml.OneOf(string(KeyOfPartition), string(KeyOfOutput)), Preset: string(KeyOfPartition), Doc: "Where the key is unique: within each partition, or over all partitions of the output. The latter is held against what else is live when a partition is published.", Examples: []string{"output", "partition"}},
		strictyaml.Key{Name: "publish", Later: true},
	)
}

// lintKeys are the rules of internal/lint that look at SELECTs; a test there holds them against its registry.
func lintKeys() []strictyaml.Key {
	silence := func(rule, what string, reasons ...string) strictyaml.Key {
		return strictyaml.Key{Name: rule, Shape: strictyaml.Sentence(), Doc: "Why " + what + " is right here.", Examples: reasons}
	}
	return []strictyaml.Key{
		silence("now-in-output", "a value of the moment, or of chance,", "it says when the row was built", "a sample is drawn"),
		silence("select-star", "taking all columns of a table", "the source is a view of ours", "the columns are a contract"),
		silence("join-without-condition", "a join without a condition", "the other side is one row", "all pairs are meant"),
		silence("float-for-money", "an amount as a binary fraction", "it is a forecast", "it is a ratio"),
	}
}

func smokeShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		latestKey("built first"),
		strictyaml.Key{Name: "max_runtime", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "30m", Doc: "How long the smoke run may take.", Examples: []string{"5m", "10m"}},
	)
}

func latestKey(doing string) strictyaml.Key {
	return strictyaml.Key{
		Name: "partitions", Shape: strictyaml.Matching(latestPattern, "latest N"), Preset: "latest 1",
		Doc: "How many of the latest partitions are " + doing + ".", Examples: []string{"latest 2", "latest 3"},
	}
}

func canaryShape() strictyaml.Shape {
	change := strictyaml.Shape{Kind: strictyaml.Ratio}
	return strictyaml.ObjectOf(
		latestKey("compared"),
		strictyaml.Key{Name: "expect", Preset: "{}", Doc: "What the release may change; beyond it the canary fails.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "rows", Shape: change, Doc: "Relative change of the row count, either way; 5% by default.", Examples: []string{"0.5%", "1%"}},
			strictyaml.Key{Name: "removed_keys", Shape: change.UpTo(1), Doc: "Share of the baseline's keys that may disappear; none by default.", Examples: []string{"0.1%", "0.2%"}},
			strictyaml.Key{Name: "added_keys", Shape: change, Doc: "Share of the baseline's keys that may be new; 5% by default.", Examples: []string{"3%", "4%"}},
			strictyaml.Key{Name: "changed", Shape: strictyaml.DictOf(change.UpTo(1)), Doc: "Column: share of the common rows that may differ; none by default.", Examples: []string{"{amount: 1%}", "{amount: 2%}"}},
			strictyaml.Key{Name: "metrics", Shape: strictyaml.DictOf(change), Doc: "Metric of an output's checks: relative change, either way; 1% by default.", Examples: []string{"{average_amount: 1%}", "{average_amount: 2%}"}},
		)},
	)
}

func watchShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "for", Required: true, Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "How long published tables are watched.", Examples: []string{"24h", "2d"}},
		strictyaml.Key{Name: "every", Required: true, Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "How often the checks are evaluated.", Examples: []string{"15m", "20m"}},
		strictyaml.Key{Name: "freshness", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "How old the newest partition may be. Late data alerts and asks; it never rolls back.", Examples: []string{"26h", "30h"}},
		strictyaml.Key{Name: "on_breach", Shape: strictyaml.OneOf("rollback", "ask"), Preset: "rollback", Doc: "What follows a failed check.", Examples: []string{"rollback", "ask"}},
		strictyaml.Key{Name: "checks", Doc: "SQL over the published tables, across partitions and outputs.", Shape: strictyaml.ListOf(strictyaml.Shape{Kind: strictyaml.Object, Single: true, Keys: []strictyaml.Key{
			{Name: "metric", Doc: "One number of one SELECT.", Shape: strictyaml.ObjectOf(metricKeys(
				"The SELECT: one row, one number.", []string{"select count(*) from fct_orders", "select sum(amount) from fct_orders"})...)},
		}})},
	)
}

func configShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "warehouse", Shape: strictyaml.Sentence(), Preset: DefaultConnection, Doc: "A connection of the environment's policy: its name, or its URL, without password or options.", Examples: []string{"warehouse", "postgres://etl@db/warehouse"}},
		strictyaml.Key{Name: "warehouse_schema", Required: true, Shape: identifierShape(), Doc: "The schema that readers see.", Examples: []string{"shop_dev", "shop_test"}},
		strictyaml.Key{Name: "write_mode", Shape: strictyaml.OneOf(string(Replace), string(Merge), string(Append)), Preset: string(Replace), Doc: "How a run's rows meet those that are live in its partition: replace (they take the place of all of them), merge (of those with their key), or append (they are added, once for each batch).", Examples: []string{"merge", "append"}},
		strictyaml.Key{Name: "source_files", Shape: strictyaml.Matching(filePattern, "a folder below the worker's source root, with slashes"), Preset: ".", Doc: "The folder of the load files, below the worker's source root.", Examples: []string{"shop", "shop/daily"}},
		strictyaml.Key{Name: "smoke", Shape: smokeShape().Overrides(), Doc: "Overrides of the pipeline's smoke."},
		strictyaml.Key{Name: "watch", Shape: watchShape().Overrides().Without("checks").With("for", strictyaml.Shape{Kind: strictyaml.Duration, Zero: true}), Doc: "Overrides of the pipeline's watch; for: 0s turns it off here."},
		strictyaml.Key{Name: "schedule", Shape: scheduleShape(), Doc: "When the pipeline runs here by itself, with the release that is active. Without it nothing runs by itself."},
		strictyaml.Key{Name: "source_db", Shape: strictyaml.Sentence(), Doc: "The connection of the environment's policy that extracts from source_db read: its name, or its URL, without password or options.", Examples: []string{"crm", "postgres://reader@crm/shop"}},
		strictyaml.Key{Name: "flags", Later: true},
	)
}

func scheduleShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "cron", Required: true, Shape: strictyaml.Sentence(), Doc: "When: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly.", Examples: []string{`"0 6 * * *"`, `"30 5 * * mon-fri"`}},
		strictyaml.Key{Name: "timezone", Shape: strictyaml.Sentence(), Doc: "The IANA timezone of cron; that of the partitions by default.", Examples: []string{"Europe/Berlin", "Asia/Tokyo"}},
		strictyaml.Key{Name: "lag", Shape: strictyaml.Shape{Kind: strictyaml.Duration, Zero: true}, Preset: "0s", Doc: "How far before its time the partition is that is due, on the wall clock of the partitions' timezone (hours in real time): with 1d a run of 06:00 builds the day before.", Examples: []string{"1d", "2d"}},
		strictyaml.Key{Name: "wait_for", Shape: strictyaml.Shape{Kind: strictyaml.Duration, Zero: true}, Preset: "0s", Doc: "How long after its time a run waits for load files that are not there yet; then it fails, and names them. At most 14d.", Examples: []string{"6h", "12h"}},
		strictyaml.Key{Name: "overlap", Shape: strictyaml.OneOf(string(schedule.Queue), string(schedule.Parallel), string(schedule.Skip)), Preset: string(schedule.Queue), Doc: "What a time does at which an earlier run is open still: queue (it waits for its turn), parallel (it runs beside it), or skip (it is left out).", Examples: []string{"skip", "parallel"}},
		strictyaml.Key{Name: "catchup", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "1d", Doc: "How late a time is made up that passed while Temporal was away, or while a turn-back held the schedule. At least 1m.", Examples: []string{"1h", "7d"}},
		strictyaml.Key{Name: "lookback", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 0}.OrElse(strictyaml.Shape{Kind: strictyaml.Duration}), Preset: "0", Doc: "How many partitions before the one that is due are run again, oldest first, for data that comes late: a number of them, or the time that they reach back before it. At most 400 partitions.", Examples: []string{"2", "3d"}},
	)
}

func policyShape() strictyaml.Shape {
	environment := strictyaml.Matching(environmentPattern, "the name of an environment")
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "approval", Preset: "{}", Doc: "Who must say yes before the environment is touched.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "required", Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Preset: "true", Doc: "Whether a person is asked.", Examples: []string{"true", "false"}},
			strictyaml.Key{Name: "approvers", Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: "Who may answer; anyone by default.", Examples: []string{"[ann, bob]", "[ann, eve]"}},
			strictyaml.Key{Name: "quorum", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How many distinct approvers are needed; 1 by default.", Examples: []string{"1", "2"}},
			strictyaml.Key{Name: "four_eyes", Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Doc: "Whether the requester may not approve.", Examples: []string{"true", "false"}},
			strictyaml.Key{Name: "expires", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "After how long an open gate rejects, and an approval under which nothing was published yet is asked for again; 72h by default.", Examples: []string{"24h", "48h"}},
		)},
		strictyaml.Key{Name: "requires", Shape: strictyaml.ListOf(environment), Doc: "Environments that a release must have passed before it is published here.", Examples: []string{"[staging]", "[dev, staging]"}},
		strictyaml.Key{Name: "connections", Shape: strictyaml.DictOf(connectionShape()).AtLeastOne(), Preset: defaultConnections, Doc: "The databases that a config may name, by name. By default one, made of the worker's DRAWBRIDGE_WAREHOUSE."},
		strictyaml.Key{Name: "publish", Preset: "{}", Doc: "How long a publish waits for others, and how much is built for it at the same time.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "lock_budget", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "30s", Doc: "The total time that the lock attempts of one publish may take before it parks.", Examples: []string{"10s", "20s"}},
			strictyaml.Key{Name: "snapshot_wait", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "10m", Doc: "How long a publish waits for snapshots that are older than the build.", Examples: []string{"5m", "6m"}},
			strictyaml.Key{Name: "on_snapshot_timeout", Shape: strictyaml.OneOf("ask", "proceed"), Preset: "ask", Doc: "What follows a wait that ran out.", Examples: []string{"ask", "proceed"}},
			strictyaml.Key{Name: "lanes", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Preset: "2", Doc: "How many slices of a deployment are built at the same time.", Examples: []string{"2", "4"}},
			strictyaml.Key{Name: "cutover", Shape: strictyaml.OneOf(string(cutover.One), string(cutover.Steps)), Preset: string(cutover.One), Doc: "How a deployment, and a turn-back, become visible: one (all of it in one transaction, within max_pause) or steps (at most eight partitions at a time, in order).", Examples: []string{"one", "steps"}},
			strictyaml.Key{Name: "max_rewrite_bytes", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How many bytes of one live partition of an output a run may write again to merge into it or to append to it; no bound by default.", Examples: []string{"10000000000", "50000000000"}},
			strictyaml.Key{Name: "max_pause", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "500ms", Doc: "How long readers may have to wait for one transaction. Where one is expected to take longer, it is cut into as few as do not, and people are asked.", Examples: []string{"500ms", "2s"}},
		)},
		strictyaml.Key{Name: "sources", Doc: "Where load files may be.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "roots", Shape: strictyaml.ListOf(strictyaml.Matching(absolutePattern, "an absolute path")), Doc: "Folders of the worker's machine; source_files of a config is looked for in one after another, and nothing outside of them is read. By default the worker's --source-root.", Examples: []string{"[/srv/files]", "[/srv/files, /mnt/exports]"}},
		)},
		strictyaml.Key{Name: "keep_retired", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "7d", Doc: "How long a retired generation stays re-attachable: the rollback horizon.", Examples: []string{"7d", "14d"}},
		strictyaml.Key{Name: "compensate", Shape: strictyaml.OneOf("failed", "all"), Preset: "failed", Doc: "What is taken back when a deployment is rejected or fails here: failed (this environment) or all (those that it crossed before too).", Examples: []string{"failed", "all"}},
		strictyaml.Key{Name: "max_partitions", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How many partitions one deployment may rebuild; no bound by default.", Examples: []string{"100", "200"}},
		strictyaml.Key{Name: "backfill", Preset: "{}", Doc: "How large a backfill may be without people being asked. What the ledger's history cannot estimate counts as more.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "max_partitions", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How many partitions; no bound by default.", Examples: []string{"31", "90"}},
			strictyaml.Key{Name: "max_rows", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "About how many rows; no bound by default.", Examples: []string{"10000000", "50000000"}},
			strictyaml.Key{Name: "max_time", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "About how long; no bound by default.", Examples: []string{"30m", "2h"}},
			strictyaml.Key{Name: "max_failures", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Preset: "10", Doc: "How many partitions may fail while the others go on; one more holds all of them, and asks.", Examples: []string{"1", "20"}},
		)},
		strictyaml.Key{Name: "throttle", Doc: "Limits of what the warehouse has to do: while one is exceeded, or cannot be observed, deployments and backfills build nothing. Only those that are written are looked at.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "replica_lag", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "How far the slowest standby may be behind, in time.", Examples: []string{"30s", "5m"}},
			strictyaml.Key{Name: "replica_bytes", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How far the slowest standby may be behind, in bytes.", Examples: []string{"1000000000", "5000000000"}},
			strictyaml.Key{Name: "wal_rate", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How many bytes of WAL may be written in a second.", Examples: []string{"50000000", "90000000"}},
			strictyaml.Key{Name: "waiting_locks", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 0}, Doc: "How many sessions of others may wait for a lock.", Examples: []string{"5", "10"}},
			strictyaml.Key{Name: "active_sessions", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 0}, Doc: "How many sessions of others may be running a statement.", Examples: []string{"20", "40"}},
			strictyaml.Key{Name: "oldest_transaction", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Doc: "How long a transaction of others may have been open.", Examples: []string{"15m", "1h"}},
			strictyaml.Key{Name: "size", Shape: strictyaml.Shape{Kind: strictyaml.Integer, Min: 1}, Doc: "How many bytes the database may have.", Examples: []string{"500000000000", "900000000000"}},
			strictyaml.Key{Name: "windows", Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: "When deployments and backfills may build, any of them: days on which it begins, times, and a zone (every day and UTC by default); always by default.", Examples: []string{`["` + window.Example + `"]`, `["sat,sun 00:00-24:00", "02:00-05:00"]`}},
			strictyaml.Key{Name: "queries", Doc: "Signals of your own: statements that return one number, and run read-only under the worker's login.", Shape: strictyaml.ListOf(strictyaml.ObjectOf(
				strictyaml.Key{Name: "name", Required: true, Shape: strictyaml.Sentence(), Doc: "How people read it.", Examples: []string{"jobs", "queue"}},
				strictyaml.Key{Name: "sql", Required: true, Shape: strictyaml.Sentence(), Doc: "The statement.", Examples: []string{"SELECT count(*) FROM ops.job", "SELECT max(depth) FROM ops.queue"}},
				strictyaml.Key{Name: "max", Required: true, Shape: strictyaml.Shape{Kind: strictyaml.Number}, Doc: "The most that it may return.", Examples: []string{"100", "0.5"}},
			))},
		)},
		strictyaml.Key{Name: "notify", Doc: "Who is told what happens here.", Shape: notifyShape()},
		strictyaml.Key{Name: "freeze", Later: true},
		strictyaml.Key{Name: "limits", Later: true},
		strictyaml.Key{Name: "commands", Later: true},
	)
}

func notifyShape() strictyaml.Shape {
	reference := strictyaml.Matching(referencePattern, "a reference such as ${file:/run/secrets/name} or ${env:NAME}")
	address := strictyaml.Matching(mailPattern, "a mail address")
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "receivers", Required: true, Doc: "Who is told, by a name of your own. Each is told of every event that it wants to hear of.", Shape: strictyaml.DictOf(strictyaml.ObjectOf(
			strictyaml.Key{Name: "webhook", Shape: reference, Doc: "A reference to the URL to which events are posted, as JSON with a text that Slack and the like show.", Examples: []string{"${env:SLACK_URL}", "${file:/run/secrets/webhook}"}},
			strictyaml.Key{Name: "mail", Doc: "Mail, in place of a webhook.", Shape: strictyaml.ObjectOf(
				strictyaml.Key{Name: "server", Required: true, Shape: strictyaml.Matching(serverPattern, "host:port"), Doc: "The SMTP server: host:port.", Examples: []string{"smtp.example.com:587", "mail.example.com:465"}},
				strictyaml.Key{Name: "from", Required: true, Shape: address, Doc: "The sender.", Examples: []string{"drawbridge@example.com", "data@example.com"}},
				strictyaml.Key{Name: "to", Required: true, Shape: strictyaml.ListOf(address), Doc: "Who gets it.", Examples: []string{"[oncall@example.com]", "[oncall@example.com, sales@example.com]"}},
				strictyaml.Key{Name: "user", Shape: strictyaml.Sentence(), Doc: "The login, where the server wants one.", Examples: []string{"drawbridge", "data"}},
				strictyaml.Key{Name: "password", Shape: reference, Doc: "Its password. It is sent over an encrypted connection only.", Examples: []string{"${file:/run/secrets/smtp}", "${env:SMTP_PASSWORD}"}},
				strictyaml.Key{Name: "tls", Shape: strictyaml.OneOf("starttls", "tls", "none"), Preset: "starttls", Doc: "How the connection is encrypted: after it has begun (starttls), from its first byte on (tls), or not at all.", Examples: []string{"starttls", "tls"}},
			)},
			strictyaml.Key{Name: "owners", Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: "Only about pipelines of these owners; all by default.", Examples: []string{"[sales-data]", "[sales-data, finance]"}},
			strictyaml.Key{Name: "consumers", Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: "Only what migrations have to say to these consumers of tables, as the migrations' files call them; all by default.", Examples: []string{"[bi]", "[bi, finance]"}},
			strictyaml.Key{Name: "kinds", Shape: strictyaml.ListOf(strictyaml.OneOf(texts(notice.Kinds())...)), Doc: "Only events of these kinds; all by default.", Examples: []string{"[gate_opened, gate_expiring]", "[run_failed]"}},
			strictyaml.Key{Name: "severity", Shape: strictyaml.OneOf(texts(notice.Severities())...), Preset: string(notice.Info), Doc: "Only events that matter at least so much.", Examples: []string{"warning", "critical"}},
		)).AtLeastOne()},
		strictyaml.Key{Name: "remind", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "24h", Doc: "How often an open gate is reminded of.", Examples: []string{"8h", "24h"}},
		strictyaml.Key{Name: "expiring", Shape: strictyaml.Shape{Kind: strictyaml.Duration}, Preset: "4h", Doc: "How long before nobody can decide a gate any more that is said.", Examples: []string{"2h", "4h"}},
	)
}

func texts[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, one := range all {
		out[i] = string(one)
	}
	return out
}

// defaultConnections are those of a worker to which nobody gave any: a laptop.
const defaultConnections = `{` + DefaultConnection + `: {url: "${env:DRAWBRIDGE_WAREHOUSE}"}}`

func connectionShape() strictyaml.Shape {
	reference := strictyaml.Matching(referencePattern, "a reference such as ${file:/run/secrets/name} or ${env:NAME}")
	file := strictyaml.Matching(absolutePattern, "an absolute path")
	schemas := strictyaml.ListOf(strictyaml.Matching(schemaPattern, "the name of a schema"))
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "url", Required: true, Shape: strictyaml.Sentence(), Doc: "The Postgres URL, without a password; or a reference to a whole one.", Examples: []string{"postgres://shop_runner@db:5432/warehouse", "${env:WAREHOUSE_URL}"}},
		strictyaml.Key{Name: "password", Shape: reference, Doc: "The password of the URL's user. It is sent to the URL's host, and to no other.", Examples: []string{"${file:/run/secrets/shop_runner}", "${env:SHOP_RUNNER}"}},
		strictyaml.Key{Name: "author", Doc: "The login under which SQL of pipelines runs: one that can neither write the ledger nor become a role that can. Without it the authors are trusted.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "user", Required: true, Shape: strictyaml.Sentence(), Doc: "Its name.", Examples: []string{"shop_author", "authors"}},
			strictyaml.Key{Name: "password", Shape: reference, Doc: "Its password.", Examples: []string{"${file:/run/secrets/shop_author}", "${env:SHOP_AUTHOR}"}},
		)},
		strictyaml.Key{Name: "use", Shape: strictyaml.ListOf(strictyaml.OneOf(string(ForWarehouse), string(ForSource))), Doc: "What pipelines may use the connection for: warehouse (they build there), source (extracts read there, in transactions that only read). By default as a warehouse only.", Examples: []string{"[source]", "[warehouse, source]"}},
		strictyaml.Key{Name: "schemas", Doc: "The schemas that pipelines may touch.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "write", Shape: schemas, Doc: "The values that warehouse_schema of a config may have; any by default.", Examples: []string{"[shop]", "[shop, finance]"}},
			strictyaml.Key{Name: "read", Shape: schemas, Doc: "Schemas whose tables SQL of pipelines finds by their plain names, after its own.", Examples: []string{"[reference]", "[reference, crm]"}},
		)},
		strictyaml.Key{Name: "tls", Doc: "How the connection is encrypted.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "mode", Shape: strictyaml.OneOf("disable", "require", "verify-ca", "verify-full"), Preset: "verify-full", Doc: "What is asked of the server.", Examples: []string{"verify-full", "require"}},
			strictyaml.Key{Name: "root", Shape: file, Doc: "The file with the certificates that the server's is checked against; the system's by default.", Examples: []string{"/etc/ssl/db.pem", "/etc/ssl/other.pem"}},
			strictyaml.Key{Name: "certificate", Shape: file, Doc: "The file with the client's certificate.", Examples: []string{"/run/secrets/client.pem", "/run/secrets/other.pem"}},
			strictyaml.Key{Name: "key", Shape: file, Doc: "The file with the client's key.", Examples: []string{"/run/secrets/client.key", "/run/secrets/other.key"}},
		)},
	)
}

func testShape() strictyaml.Shape {
	rows := strictyaml.Shape{Kind: strictyaml.List, Elem: new(strictyaml.DictOf(strictyaml.Shape{Kind: strictyaml.Cell}))}
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "name", Required: true, Shape: strictyaml.Sentence(), Doc: "What the test shows.", Examples: []string{"totals are summed", "channels are counted"}},
		strictyaml.Key{Name: "partition", Shape: strictyaml.Sentence(), Doc: "The partition that is built; needed unless the pipeline is one partition.", Examples: []string{`"2026-01-01"`, `"2026-01-02"`}},
		strictyaml.Key{Name: "given", Required: true, Shape: strictyaml.DictOf(rows), Doc: "Relation: the rows that it has.", Examples: []string{"{raw_channels: [{channel: web}, {channel: web}]}", "{raw_channels: [{channel: store}]}"}},
		strictyaml.Key{Name: "expect", Required: true, Shape: strictyaml.Shape{Kind: strictyaml.Dict, Elem: &rows, Filled: true}, Doc: "Output: its rows in any order, compared on the listed columns.", Examples: []string{"{dim_channel: [{channel: web}]}", "{dim_channel: [{channel: store}]}"}},
	)
}
