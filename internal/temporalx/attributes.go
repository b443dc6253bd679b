package temporalx

import (
	"context"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
)

// EnsureAttributes registers the keyword search attributes that a namespace lacks. What it may not register is an error
// that names them; workflows then run without.
func EnsureAttributes(ctx context.Context, c client.Client, namespace string, names []string) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, name := range names {
		if _, ok := have.GetCustomAttributes()[name]; !ok {
			missing[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	if err != nil {
		return fmt.Errorf("register search attributes: %w", err)
	}
	return nil
}

// RegisterLine is the command of Temporal's own CLI that registers keyword search attributes.
func RegisterLine(names []string) string {
	var line strings.Builder
	line.WriteString("temporal operator search-attribute create")
	for _, n := range names {
		line.WriteString(" --name " + n + " --type Keyword")
	}
	return line.String()
}
