package migrate

// Size is how large a table is, as the server estimates it.
type Size struct {
	Table string `json:"table"`
	// Rows are those of its partitions too; below 0 where the server has never estimated them.
	Rows int64 `json:"rows"`
	// Bytes are what its rows take, those of its partitions too, without indexes.
	Bytes int64 `json:"bytes"`
}
