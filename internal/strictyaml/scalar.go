package strictyaml

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalar reads a single value as its shape. The reason is empty where the value fits.
func scalar(n ast.Node, s Shape) (data any, reason, hint string) {
	if s.Kind == Cell {
		return cellValue(n)
	}
	raw, ok := written(n)
	if !ok {
		return nil, "must be " + s.is(), ""
	}
	var err error
	switch s.Kind {
	case Integer:
		data, err = parseInteger(n, s)
	case Number:
		data, err = parseNumber(n)
	case Ratio:
		data, err = parseRatio(raw, s)
	case Duration:
		data, err = parseDuration(raw, s)
	case Boolean:
		b, isBool := n.(*ast.BoolNode)
		if !isBool {
			return nil, "must be true or false", ""
		}
		data = b.Value
	default:
		return textValue(raw, s)
	}
	if err != nil {
		return nil, err.Error(), ""
	}
	return data, "", ""
}

// written is a scalar as its author wrote it, so that 1.50 stays 1.50; NULL is not text.
func written(n ast.Node) (string, bool) {
	switch node := n.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

func textValue(raw string, s Shape) (data any, reason, hint string) {
	if slices.Contains(s.Later, raw) {
		return nil, unsupported(raw, ""), "use " + orList(s.Allowed)
	}
	if len(s.Allowed) > 0 && !slices.Contains(s.Allowed, raw) {
		return nil, fmt.Sprintf("must be %s, not %q", s.is(), raw), didYouMeanValue(raw, s.Allowed)
	}
	if s.Pattern != nil && !s.Pattern.MatchString(raw) {
		return nil, "must be " + s.is(), ""
	}
	return raw, "", ""
}

func didYouMeanValue(raw string, allowed []string) string {
	if near := Nearest(raw, allowed); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

func parseInteger(n ast.Node, s Shape) (int64, error) {
	node, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, errors.New("must be " + s.is())
	}
	i, err := asInt64(node)
	if err != nil {
		return 0, err
	}
	if i < s.Min {
		return 0, fmt.Errorf("must be %d or more", s.Min)
	}
	return i, nil
}

func asInt64(node *ast.IntegerNode) (int64, error) {
	switch i := node.Value.(type) {
	case int64:
		return i, nil
	case uint64:
		if i <= math.MaxInt64 {
			return int64(i), nil
		}
	}
	return 0, errors.New("the number does not fit 64 bits")
}

func parseNumber(n ast.Node) (float64, error) {
	switch node := n.(type) {
	case *ast.IntegerNode:
		i, err := asInt64(node)
		return float64(i), err
	case *ast.FloatNode:
		return node.Value, nil
	default:
		return 0, errors.New("must be a number")
	}
}

var percentPattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?(%?)$`)

// parseRatio reads 0.5% or 0.005. A bare number above 1 is refused: 5 would be 500 %, and is meant as 5%.
func parseRatio(raw string, s Shape) (float64, error) {
	m := percentPattern.FindStringSubmatch(raw)
	if m == nil {
		return 0, errors.New("must be a percentage such as 0.5%")
	}
	r, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, errors.New("must be a percentage such as 0.5%")
	}
	if m[2] == "" && r > 1 {
		return 0, fmt.Errorf("a bare number is a share from 0 to 1: write %s%%", m[1])
	}
	if m[2] == "%" {
		r /= 100
	}
	if s.Max > 0 && r > s.Max {
		return 0, fmt.Errorf("must be at most %g%%", s.Max*100)
	}
	return r, nil
}

var durationPattern = regexp.MustCompile(`^(?:([0-9]{1,5})d)?((?:[0-9.]+(?:h|m|s|ms))*)$`)

// parseDuration reads Go's durations and days of 24 hours: 15m, 7d, 1d12h.
func parseDuration(raw string, s Shape) (time.Duration, error) {
	m := durationPattern.FindStringSubmatch(raw)
	if m == nil || raw == "" {
		return 0, errors.New("must be a duration such as 15m, 24h or 7d")
	}
	var d time.Duration
	if m[1] != "" {
		days, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, errors.New("must be a duration such as 15m, 24h or 7d")
		}
		d = time.Duration(days) * 24 * time.Hour
	}
	if m[2] != "" {
		rest, err := time.ParseDuration(m[2])
		if err != nil || rest > math.MaxInt64-d {
			return 0, errors.New("must be a duration such as 15m, 24h or 7d")
		}
		d += rest
	}
	if d == 0 && !s.Zero {
		return 0, errors.New("must be longer than nothing")
	}
	return d, nil
}

// Null is the data of a cell that is NULL: nil data means refused.
type Null struct{}

func cellValue(n ast.Node) (data any, reason, hint string) {
	switch node := n.(type) {
	case *ast.NullNode:
		return Null{}, "", ""
	case *ast.BoolNode:
		return node.Value, "", ""
	case *ast.FloatNode:
		return node.Value, "", ""
	case *ast.IntegerNode:
		// A leading zero is a code such as a postal code, which YAML would read as octal.
		if raw := node.GetToken().Value; len(raw) > 1 && strings.HasPrefix(raw, "0") {
			return nil, "a number must not begin with 0", "quote it to make it text"
		}
		i, err := asInt64(node)
		if err != nil {
			return nil, err.Error(), "quote it to make it text"
		}
		return i, "", ""
	}
	if raw, ok := written(n); ok {
		return raw, "", ""
	}
	return nil, "must be a single value", ""
}
