package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// Partitions lists what the names of files say of a pipeline's partitions. A file that is called as those of a load are, upper
// and lower case apart, and is read by no load, is said: nobody else would notice.
func (f Files) Partitions(cfg pipeline.Config, p *pipeline.Pipeline) (plan.Sources, error) {
	loads := 0
	having := map[partition.Key]int{} // how many loads have a file of the partition
	read, alike := map[string]bool{}, map[string]string{}
	keys := newKeys(p.Partition)
	var whole []pipeline.Pattern
	var called []string
	for _, load := range p.FileLoads() {
		pattern, err := load.Pattern()
		if err != nil {
			return plan.Sources{}, err
		}
		if !pattern.Partitioned() {
			whole = append(whole, pattern)
			continue
		}
		loads++
		called = append(called, pattern.String())
		found := map[partition.Key]bool{}
		last := pattern.Depth() - 1
		err = f.walk("list source files", cfg, pattern, func(i int, name string) bool { return i == last || pattern.Like(i, name) }, func(e entry) error {
			if r, ok := pattern.Read(e.path); ok {
				if key, named := keys.of(r); named {
					read[e.path], found[key] = true, true
					return nil
				}
			}
			if pattern.Like(last, path.Base(e.path)) {
				alike[e.path] = shown(pattern, e.path)
			}
			return nil
		})
		if err != nil {
			return plan.Sources{}, err
		}
		for key := range found {
			having[key]++
		}
	}
	found := plan.Sources{Named: loads > 0, Called: called}
	var incomplete, unfit []string
	for key, n := range having {
		if n == loads {
			found.Keys = append(found.Keys, key)
		} else {
			incomplete = append(incomplete, string(key))
		}
	}
	p.Partition.Sort(found.Keys)
	for name, text := range alike {
		if !read[name] && !readBy(whole, name) {
			unfit = append(unfit, text)
		}
	}
	found.Incomplete, found.Unfit = plan.NamesOf(incomplete), plan.NamesOf(unfit)
	return found, nil
}

// keys are the keys of a scheme by what names say: thousands of files are of one partition, and a key with a timezone costs more to
// read than a file does to list.
type keys struct {
	scheme partition.Scheme
	known  map[string]partition.Key // empty: it is none
}

func newKeys(s partition.Scheme) keys { return keys{scheme: s, known: map[string]partition.Key{}} }

// of is the partition that the path of a file says.
func (k keys) of(r pipeline.Reading) (partition.Key, bool) {
	text, ok := r.Spelling(k.scheme.By)
	if !ok {
		return "", false
	}
	key, seen := k.known[text]
	if !seen {
		if read, err := k.scheme.Parse(text); err == nil {
			key = read
		}
		k.known[text] = key
	}
	return key, key != "" && r.In(key)
}

// readBy says whether one of some patterns reads a file.
func readBy(patterns []pipeline.Pattern, name string) bool {
	for _, p := range patterns {
		if _, ok := p.Read(name); ok {
			return true
		}
	}
	return false
}

// shown is what people know a file of a pattern by: its name, or its path where the files are in several folders.
func shown(p pipeline.Pattern, name string) string {
	for i := range p.Depth() - 1 {
		if _, one := p.Plain(i); !one {
			return name
		}
	}
	return path.Base(name)
}

// Headers are the columns of the load files, each read from a file of the newest partition. A file that is not there
// has none: then only the declared columns are known.
func (f Files) Headers(cfg pipeline.Config, p *pipeline.Pipeline) (map[string][]string, error) {
	newest := partition.AllKey
	sources, err := f.Partitions(cfg, p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(sources.Keys) > 0 {
		newest = sources.Keys[len(sources.Keys)-1]
	}
	found := map[string][]string{}
	for _, load := range p.FileLoads() {
		head, err := f.header(cfg, load, newest)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[load.Name] = head
	}
	return found, nil
}

// header reads the header of the last file of a load for a partition.
func (f Files) header(cfg pipeline.Config, load pipeline.Load, key partition.Key) (head []string, err error) {
	files, err := f.List(cfg, load, key)
	if err != nil {
		return nil, err
	}
	last := files[len(files)-1]
	file, err := last.Open()
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = fmt.Errorf("close %s: %w", last.Name, closed)
		}
	}()
	text, err := Unpack(file, last.Name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }()
	head, err = Header(text, load.Of(last.Name), key)
	return head, err
}
