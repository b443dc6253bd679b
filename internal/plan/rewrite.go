package plan

import (
	"fmt"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
)

// keeps is how rows that are live stay; empty: they do not.
func (c crossing) keeps() pipeline.WriteMode {
	if c.config.WriteMode.Keeps() {
		return c.config.WriteMode
	}
	return ""
}

// rewrite is how many bytes of what is live are written again, because they stay, and what is too large for that.
func (c crossing) rewrite(w work) (bytes int64, found []Problem) {
	if c.keeps() == "" {
		return 0, nil
	}
	seen := map[generation.Item]bool{}
	items := append([]generation.Item(nil), w.aside...)
	for _, s := range w.slices {
		items = append(items, s.Items...)
	}
	for _, item := range items {
		o, ok := c.observed.output(item.Output)
		if !ok || seen[item] {
			continue
		}
		seen[item] = true
		size := o.Bytes[item.Partition]
		bytes += size
		if why, remedy := generation.TooLarge(size, c.policy.Publish.MaxRewriteBytes); why != "" {
			found = append(found, Problem{Rule: "rewrite", Object: fmt.Sprintf("%s[%s]", item.Output, item.Partition), Text: why, Remedy: remedy, Blocking: true})
		}
	}
	return bytes, found
}

// writeText says what becomes of rows that are live, where they stay.
func writeText(e Environment) string {
	again := ""
	if e.Shown.Rewrite > 0 {
		again = "; " + check.FormatBytes(e.Shown.Rewrite) + " of what is live are written again"
	}
	switch e.WriteMode {
	case pipeline.Merge:
		return "merge: the release is applied to what its files hold now; other rows stay as they were built, without values in columns that are new" + again
	case pipeline.Append:
		return "append: a batch that is live already is not built again, and its rows stay as they were built, without values in columns that are new" + again
	case pipeline.Replace:
	}
	return ""
}

// mergedText says which row of a key counts where an environment merges; empty: the one that comes last.
func mergedText(o pipeline.Output) string {
	var says []string
	if o.VersionColumn != "" {
		says = append(says, "the row with the greatest "+o.VersionColumn+" counts")
	}
	if o.DeleteWhen != "" {
		says = append(says, "a row takes its key away when "+oneLine(o.DeleteWhen))
	}
	if len(says) == 0 {
		return ""
	}
	return "where rows are merged, " + strings.Join(says, ", and ")
}
