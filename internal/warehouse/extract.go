package warehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
)

// filler takes the rows of an extract, as its CopyInto says.
type filler func(e *source.Extract, rows io.Reader) (pgconn.CommandTag, error)

// errFilled ends the copying at a source whose rows are not taken any more.
var errFilled = errors.New("nobody takes the rows any more")

// extract lets fill take what an extract's SELECT returns at its source, for a partition; for partition.AllKey, where the pipeline has
// others, all there is. The rows go from one server to the other as they are: memory does not grow with them.
func (b *build) extract(ctx context.Context, load pipeline.Load, key partition.Key, fill filler) (done staged, err error) {
	started := time.Now()
	b.progress(Progress{Stage: StageLoad, Load: load.Name})
	value, err := b.valuesAtSource(key)
	if err != nil {
		return staged{}, err
	}
	var bytes int64
	err = b.spec.Connect.Extract(ctx, load, b.spec.Application, func(ctx context.Context, e *source.Extract) error {
		reader, writer := io.Pipe()
		copying, stop := context.WithCancel(ctx)
		defer stop()
		var copied source.Copied
		ended := make(chan error, 1)
		go func() {
			var err error
			copied, err = e.Copy(copying, writer, value)
			_ = writer.CloseWithError(err)
			ended <- err
		}()
		counted := &tellingReader{source: reader, tick: func(bytes int64) {
			b.progress(Progress{Stage: StageLoad, Load: load.Name, Bytes: bytes})
		}}
		tag, err := fill(e, counted)
		if err != nil {
			stop() // the source may not have given a row yet
		}
		_ = reader.CloseWithError(errFilled)
		switch there := <-ended; {
		case there != nil && (err == nil || !errors.Is(there, errFilled) && copying.Err() == nil || fault.ClassOf(there) != ""):
			return there
		case err != nil:
			return postgres.ClassifyRun("load", load.File, err)
		case tag.RowsAffected() != copied.Rows:
			return fmt.Errorf("load %s: the source has given %d rows, and %d were taken", load.File, copied.Rows, tag.RowsAffected())
		}
		done, bytes = staged{rows: copied.Rows, digest: copied.Digest}, counted.bytes
		return nil
	})
	if err != nil {
		return staged{}, err
	}
	b.progress(Progress{Stage: StageLoad, Done: true, Load: load.Name, RowsOut: done.rows, Bytes: bytes, Elapsed: time.Since(started)})
	return done, nil
}

// valuesAtSource are the values of placeholders at a source.
func (b *build) valuesAtSource(key partition.Key) (source.Values, error) {
	scheme := b.spec.Pipeline.Partition
	if key == partition.AllKey && scheme.By != partition.All {
		return unbounded, nil
	}
	bounds, err := scheme.Bounds(key)
	return func(param string, oid uint32) (value []byte, given uint32) {
		args, types := arguments(scheme, []string{param}, []uint32{oid}, key, bounds)
		return args[0], types[0]
	}, err
}

// atSources finds the partitions in which extracts have rows, in order; asked is false where no extract says by which column.
func atSources(ctx context.Context, p *pipeline.Pipeline, connect source.Connect, application string) (keys []partition.Key, asked bool, err error) {
	found := map[partition.Key]bool{}
	for _, load := range p.Extracts() {
		if load.Extract.Column == "" {
			continue
		}
		asked = true
		load, err := loosened(load, p.Partition)
		if err != nil {
			return nil, true, err
		}
		err = connect.Extract(ctx, load, application, func(ctx context.Context, e *source.Extract) error {
			return partitionsAt(ctx, p.Partition, load, e, found)
		})
		if err != nil {
			return nil, true, err
		}
	}
	keys = slices.Collect(maps.Keys(found))
	p.Partition.Sort(keys)
	return keys, asked, nil
}

// loosened is an extract whose SELECT leaves nothing out, where no value of a placeholder does that: of a list.
func loosened(load pipeline.Load, scheme partition.Scheme) (pipeline.Load, error) {
	if scheme.By != partition.List || !load.Partitioned() {
		return load, nil
	}
	if !pipeline.Unbound(load.Extract.SQL) {
		return load, fault.Newf(fault.Invalid, "find partitions of", load.File, "write column = @"+pipeline.PartitionValueParam,
			"a placeholder is compared with nothing by itself, so that what there is data for cannot be asked")
	}
	loose := *load.Extract
	loose.SQL = pipeline.Unbounded(loose.SQL)
	load.Extract = &loose
	return load, nil
}

// partitionsAt adds the partitions in which an extract has rows. Rows that are in none of them are refused, as those of outputs are.
func partitionsAt(ctx context.Context, scheme partition.Scheme, load pipeline.Load, e *source.Extract, found map[partition.Key]bool) error {
	scheme.Column = load.Extract.Column
	at := slices.IndexFunc(e.Columns, func(c pipeline.Column) bool { return c.Name == scheme.Column })
	if at < 0 {
		return fault.Newf(fault.Invalid, "find partitions of", load.File, "select it, or correct column: of the extract", "the SELECT does not return column "+scheme.Column)
	}
	counts, err := e.Counts(ctx, keyOf(scheme, e.Columns[at].Type), unbounded)
	if err != nil {
		return err
	}
	var all, placed int64
	for text, n := range counts {
		all += n
		if key, err := scheme.Parse(text); err == nil {
			found[key], placed = true, placed+n
		}
	}
	if all > placed {
		return unplaced(pipeline.Output{Table: load.Name, SQLFile: load.File, Partition: scheme}, all-placed, all)
	}
	return nil
}

// tellingReader counts what passes, and tells every few megabytes.
type tellingReader struct {
	source io.Reader
	tick   func(bytes int64)
	bytes  int64
	told   int64
}

func (r *tellingReader) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.bytes += int64(n)
	if r.bytes-r.told >= tellEvery {
		r.told = r.bytes
		r.tick(r.bytes)
	}
	return n, err
}
