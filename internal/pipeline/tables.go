package pipeline

// Document is one kind of file that a person writes.
type Document string

// The documents.
const (
	PipelineDocument Document = "pipeline"
	ConfigDocument   Document = "config"
	PolicyDocument   Document = "policy"
	TestDocument     Document = "test"
)

// Documents lists every document: each has a table below and a published JSON Schema.
func Documents() []Document {
	return []Document{PipelineDocument, ConfigDocument, PolicyDocument, TestDocument}
}

func (d Document) shape() shape {
	switch d {
	case PipelineDocument:
		return pipelineShape()
	case ConfigDocument:
		return configShape()
	case PolicyDocument:
		return policyShape()
	case TestDocument:
		return testShape()
	default:
		return shape{kind: object}
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
	default:
		return "tests/*.yaml: given rows and expected rows of a pipeline"
	}
}

const identifierWords = "a lower-case identifier of at most 40 letters, digits and underscores"

func identifierShape() shape { return matching(identifierPattern, identifierWords) }

func columnShape() shape { return matching(columnPattern, "a column name of at most 63 characters") }

func sentence() shape { return matching(filledPattern, "text that is not blank") }

func fileShape() shape { return matching(filePattern, "a path inside the folder, with slashes") }

func pipelineShape() shape {
	return objectOf(
		key{
			name: "name", required: true, shape: matching(namePattern, "lower-case words joined by _ or -, such as taxi_trips"),
			doc: "The pipeline's name; releases are tagged NAME-VERSION.", examples: []string{"shop", "store"},
		},
		key{
			name: "version", required: true, shape: sentence(),
			doc: "The semantic version of the next release: MAJOR.MINOR.PATCH.", examples: []string{"1.0.0", "1.1.0-rc.1"},
		},
		key{name: "owner", required: true, shape: sentence(), doc: "Who is asked and told.", examples: []string{"sales-data", "team-b"}},
		key{name: "description", shape: sentence(), doc: "What a row of the data is.", examples: []string{"Orders of the shop.", "Other words."}},
		key{
			name: "environments", shape: listOf(matching(environmentPattern, "the name of an environment")),
			doc: "The environments in the order in which a deployment crosses them; each has a config.<env>.yaml. By default those with a config, in the order dev, staging, prod, then by name.", examples: []string{"[dev, prod]", "[prod, dev]"},
		},
		key{
			name: "partition", required: true, shape: partitionShape(),
			doc: "How outputs are cut into partitions, the unit of (re)processing.", examples: []string{"all", "{by: day, column: order_date}"},
		},
		key{
			name: "steps", shape: listOf(stepShape()),
			doc: "What builds the relations that outputs read; they exist within a run only.", examples: []string{"[{load: {name: raw_orders, file: orders.csv}}]"},
		},
		key{
			name: "outputs", required: true, shape: listOf(outputShape()),
			doc: "The tables that the pipeline produces; those of one partition are published in one transaction.",
		},
		key{name: "smoke", shape: smokeShape(), preset: "{}", doc: "Which partitions are built first, and how long that may take."},
		key{name: "canary", shape: canaryShape(), preset: "{}", doc: "Which partitions are compared with the live ones, and what may change."},
		key{name: "watch", shape: watchShape(), doc: "The window after a publish in which the published tables are checked."},
		key{name: "tests", shape: fileShape(), preset: "tests/", doc: "The folder of unit tests: given rows, expected rows.", examples: []string{"tests/", "more_tests/"}},
		key{name: "pack", shape: objectOf(
			key{name: "allow", required: true, shape: listOf(fileShape()), doc: "Globs of files over 10 MiB that are packed.", examples: []string{`["seeds/*.sql"]`, `["models/*.bin"]`}},
		), doc: "What a release may hold beyond the default."},
		key{name: "schedule", later: true},
		key{name: "schedules", later: true},
	)
}

func partitionShape() shape {
	return objectOf(
		key{
			name: "by", required: true, shape: oneOf("hour", "day", "week", "month", "all").except("list").orElse(objectOf(
				key{name: "range", required: true, shape: shape{kind: integer, min: 1}, doc: "The width of a partition of integers.", examples: []string{"100000", "5000"}},
			)),
			doc: "The grain.", examples: []string{"day", "month"},
		},
		key{name: "column", shape: columnShape(), doc: "The column that outputs are partitioned by.", examples: []string{"order_date", "booked_on"}},
		key{name: "timezone", shape: sentence(), doc: "The IANA timezone in which hours, days, weeks and months begin; UTC by default.", examples: []string{"Europe/Berlin", "Asia/Tokyo"}},
	).orElse(oneOf("all"))
}

func stepShape() shape {
	return shape{kind: object, single: true, keys: []key{
		{name: "load", doc: "Copies one CSV file into a relation of the run.", shape: objectOf(
			key{name: "name", required: true, shape: identifierShape(), doc: "The relation's name, for the SQL of outputs.", examples: []string{"raw_orders", "other_orders"}},
			key{
				name: "file", required: true, shape: fileShape(),
				doc: "The file, relative to source_files of the config; @partition in it is the partition key.", examples: []string{"data/orders_@partition.csv", "data/sales_@partition.csv"},
			},
			key{name: "format", shape: oneOf("csv"), preset: "csv", doc: "The file's format.", examples: []string{"csv"}},
			key{
				name: "columns", shape: dictOf(matching(typePattern, "a Postgres type such as numeric(12,2)")),
				doc: "Column names of the file's header with their Postgres types; a column that is not listed is text.", examples: []string{"{order_id: bigint}", "{order_id: integer}"},
			},
			key{name: "delimiter", shape: matching(delimiterPattern, "one character, no letter, digit, quote or line break"), doc: `The field separator; "," by default.`, examples: []string{`";"`, `"|"`}},
			key{name: "encoding", shape: matching(encodingPattern, "a Postgres encoding such as LATIN1"), doc: "The file's encoding by its Postgres name; UTF8 by default.", examples: []string{"LATIN1", "WIN1252"}},
			key{name: "on_bad_row", later: true},
			key{name: "max_rejects", later: true},
		)},
		{name: "extract", later: true},
		{name: "command", later: true},
	}}
}

func outputShape() shape {
	return objectOf(
		key{name: "table", required: true, shape: identifierShape(), doc: "The table's name in the environment's schema.", examples: []string{"fct_orders", "fct_sales"}},
		key{name: "sql", required: true, shape: fileShape(), doc: "The file with the one SELECT that builds a partition; @partition, @partition_start and @partition_end are bound parameters.", examples: []string{"sql/fct_orders.sql", "sql/fct_orders_v2.sql"}},
		key{name: "partition", shape: oneOf("all"), doc: "all: the whole table is one partition and swaps as one. By default the pipeline's partition.", examples: []string{"all"}},
		key{name: "key", shape: listOf(columnShape()), doc: "The columns that name a row, unique within a partition.", examples: []string{"[order_id]", "[order_id, channel]"}},
		key{name: "indexes", shape: listOf(listOf(columnShape())), doc: "Indexes, each a list of columns.", examples: []string{"[[channel]]", "[[channel], [order_date, channel]]"}},
		key{name: "checks", required: true, shape: listOf(checkShape()), doc: "What is audited on every generation before it is published."},
		key{name: "contract", later: true},
		key{name: "key_scope", later: true},
		key{name: "publish", later: true},
	)
}

func smokeShape() shape {
	return objectOf(
		latestKey("built first"),
		key{name: "max_runtime", shape: shape{kind: duration}, preset: "30m", doc: "How long the smoke run may take.", examples: []string{"5m", "10m"}},
	)
}

func latestKey(doing string) key {
	return key{
		name: "partitions", shape: matching(latestPattern, "latest N"), preset: "latest 1",
		doc: "How many of the latest partitions are " + doing + ".", examples: []string{"latest 2", "latest 3"},
	}
}

func canaryShape() shape {
	change := shape{kind: ratio}
	return objectOf(
		latestKey("compared"),
		key{name: "expect", preset: "{}", doc: "What the release may change; beyond it the canary fails.", shape: objectOf(
			key{name: "rows", shape: change, doc: "Relative change of the row count, either way; 5% by default.", examples: []string{"0.5%", "1%"}},
			key{name: "removed_keys", shape: change.upTo(1), doc: "Share of the baseline's keys that may disappear; none by default.", examples: []string{"0.1%", "0.2%"}},
			key{name: "added_keys", shape: change, doc: "Share of the baseline's keys that may be new; 5% by default.", examples: []string{"3%", "4%"}},
			key{name: "changed", shape: dictOf(change.upTo(1)), doc: "Column: share of the common rows that may differ; none by default.", examples: []string{"{amount: 1%}", "{amount: 2%}"}},
			key{name: "metrics", shape: dictOf(change), doc: "Metric of an output's checks: relative change, either way; 1% by default.", examples: []string{"{average_amount: 1%}", "{average_amount: 2%}"}},
		)},
	)
}

func watchShape() shape {
	return objectOf(
		key{name: "for", required: true, shape: shape{kind: duration}, doc: "How long published tables are watched.", examples: []string{"24h", "2d"}},
		key{name: "every", required: true, shape: shape{kind: duration}, doc: "How often the checks are evaluated.", examples: []string{"15m", "20m"}},
		key{name: "freshness", shape: shape{kind: duration}, doc: "How old the newest partition may be. Late data alerts and asks; it never rolls back.", examples: []string{"26h", "30h"}},
		key{name: "on_breach", shape: oneOf("rollback", "ask"), preset: "rollback", doc: "What follows a failed check.", examples: []string{"rollback", "ask"}},
		key{name: "checks", doc: "SQL over the published tables, across partitions and outputs.", shape: listOf(shape{kind: object, single: true, keys: []key{
			{name: "metric", doc: "One number of one SELECT.", shape: objectOf(metricKeys(
				"The SELECT: one row, one number.", []string{"select count(*) from fct_orders", "select sum(amount) from fct_orders"})...)},
		}})},
	)
}

func configShape() shape {
	return objectOf(
		key{name: "warehouse", required: true, shape: sentence(), doc: "The warehouse's Postgres URL; secrets are references such as ${env:DRAWBRIDGE_SECRET_PW}.", examples: []string{"postgres://etl@db/warehouse", "${env:DRAWBRIDGE_SECRET_WAREHOUSE}"}},
		key{name: "warehouse_schema", required: true, shape: identifierShape(), doc: "The schema that readers see.", examples: []string{"shop_dev", "shop_test"}},
		key{name: "write_mode", shape: oneOf("replace").except("merge", "append"), preset: "replace", doc: "How a run's rows meet the live ones: they replace the partition.", examples: []string{"replace"}},
		key{name: "source_files", shape: sentence(), preset: ".", doc: "The folder of the load files on the worker; a relative one is below the worker's source root.", examples: []string{"shop", "/srv/files"}},
		key{name: "smoke", shape: smokeShape().overrides(), doc: "Overrides of the pipeline's smoke."},
		key{name: "watch", shape: watchShape().overrides().without("checks").with("for", shape{kind: duration, zero: true}), doc: "Overrides of the pipeline's watch; for: 0s turns it off here."},
		key{name: "source_db", later: true},
		key{name: "flags", later: true},
	)
}

func policyShape() shape {
	environment := matching(environmentPattern, "the name of an environment")
	return objectOf(
		key{name: "approval", preset: "{}", doc: "Who must say yes before the environment is touched.", shape: objectOf(
			key{name: "required", shape: shape{kind: boolean}, preset: "true", doc: "Whether a person is asked.", examples: []string{"true", "false"}},
			key{name: "approvers", shape: listOf(sentence()), doc: "Who may answer; anyone by default.", examples: []string{"[ann, bob]", "[ann, eve]"}},
			key{name: "quorum", shape: shape{kind: integer, min: 1}, doc: "How many distinct approvers are needed; 1 by default.", examples: []string{"1", "2"}},
			key{name: "four_eyes", shape: shape{kind: boolean}, doc: "Whether the requester may not approve.", examples: []string{"true", "false"}},
			key{name: "expires", shape: shape{kind: duration}, doc: "After how long an open gate rejects; 72h by default.", examples: []string{"24h", "48h"}},
		)},
		key{name: "requires", shape: listOf(environment), doc: "Environments that a release must have passed before it is published here.", examples: []string{"[staging]", "[dev, staging]"}},
		key{name: "secrets", preset: "{}", doc: "The prefixes within which secret references are resolved.", shape: objectOf(
			key{name: "env", shape: listOf(sentence()), preset: "[DRAWBRIDGE_SECRET_]", doc: "Prefixes of environment variables.", examples: []string{"[DRAWBRIDGE_SECRET_PROD_]", "[PROD_]"}},
			key{name: "files", shape: listOf(matching(absolutePattern, "an absolute path")), preset: "[/run/secrets/]", doc: "Prefixes of files.", examples: []string{"[/run/secrets/prod/]", "[/etc/drawbridge/]"}},
		)},
		key{name: "publish", preset: "{}", doc: "How long a publish waits for others, and how much is built for it at the same time.", shape: objectOf(
			key{name: "lock_budget", shape: shape{kind: duration}, preset: "30s", doc: "The total time that the lock attempts of one publish may take before it parks.", examples: []string{"10s", "20s"}},
			key{name: "snapshot_wait", shape: shape{kind: duration}, preset: "10m", doc: "How long a publish waits for snapshots that are older than the build.", examples: []string{"5m", "6m"}},
			key{name: "on_snapshot_timeout", shape: oneOf("ask", "proceed"), preset: "ask", doc: "What follows a wait that ran out.", examples: []string{"ask", "proceed"}},
			key{name: "lanes", shape: shape{kind: integer, min: 1}, preset: "2", doc: "How many steps of a deployment are built at the same time; they are published in order.", examples: []string{"2", "4"}},
		)},
		key{name: "keep_retired", shape: shape{kind: duration}, preset: "7d", doc: "How long a retired generation stays re-attachable: the rollback horizon.", examples: []string{"7d", "14d"}},
		key{name: "max_partitions", shape: shape{kind: integer, min: 1}, doc: "How many partitions one deployment may rebuild; no bound by default.", examples: []string{"100", "200"}},
		key{name: "freeze", later: true},
		key{name: "limits", later: true},
		key{name: "connections", later: true},
		key{name: "commands", later: true},
	)
}

func testShape() shape {
	rows := shape{kind: list, elem: new(dictOf(shape{kind: cell}))}
	return objectOf(
		key{name: "name", required: true, shape: sentence(), doc: "What the test shows.", examples: []string{"totals are summed", "channels are counted"}},
		key{name: "partition", shape: sentence(), doc: "The partition that is built; needed unless the pipeline is one partition.", examples: []string{`"2026-01-01"`, `"2026-01-02"`}},
		key{name: "given", required: true, shape: dictOf(rows), doc: "Relation: the rows that it has.", examples: []string{"{raw_channels: [{channel: web}, {channel: web}]}", "{raw_channels: [{channel: store}]}"}},
		key{name: "expect", required: true, shape: shape{kind: dict, elem: &rows, filled: true}, doc: "Output: its rows in any order, compared on the listed columns.", examples: []string{"{dim_channel: [{channel: web}]}", "{dim_channel: [{channel: store}]}"}},
	)
}
