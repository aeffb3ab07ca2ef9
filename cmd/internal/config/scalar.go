package config

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	switch v.Kind() {
	case reflect.String:
		d.string(n, path, v, tag)
	case reflect.Bool:
		if kind(n) != "!!bool" {
			d.addAt(n.Line, path, "must be true or false, is %s", describe(n))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int:
		number, err := strconv.Atoi(n.Value)
		// Other notations mean other numbers to other readers of YAML.
		if kind(n) != "!!int" || err != nil || strconv.Itoa(number) != n.Value {
			d.addAt(n.Line, path, "must be a whole number, is %s", shown(n))
			return
		}
		if d.within(n, path, float64(number), tag) {
			v.SetInt(int64(number))
		}
	case reflect.Float64:
		d.float(n, path, v, tag)
	default:
		d.addAt(n.Line, path, "cannot be read: usher has no reader for %s", v.Type())
	}
}

func (d *decoder) float(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	k := kind(n)
	if k != "!!float" && k != "!!int" {
		d.addAt(n.Line, path, "must be a number, is %s", describe(n))
		return
	}
	number, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
		d.addAt(n.Line, path, "must be a finite number, is %s", shown(n))
		return
	}
	if d.within(n, path, number, tag) {
		v.SetFloat(number)
	}
}

func (d *decoder) string(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if kind(n) != "!!str" {
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			d.addAt(n.Line, path, "must be text, is %s: write %q", describe(n), n.Value)
			return
		}
		d.addAt(n.Line, path, "must be text, is %s", describe(n))
		return
	}
	if allowed := strings.Fields(tag.Get("allowed")); len(allowed) > 0 && !slices.Contains(allowed, n.Value) {
		d.addAt(n.Line, path, "%s is not allowed; allowed: %s", shown(n), strings.Join(allowed, ", "))
		return
	}
	if tag.Get("required") != "" && strings.TrimSpace(n.Value) == "" {
		d.addAt(n.Line, path, "must not be blank")
		return
	}
	if d.text(n.Line, path, n.Value, tag) {
		v.SetString(n.Value)
	}
}

// text checks what every text must keep to.
func (d *decoder) text(line int, path, s string, tag reflect.StructTag) bool {
	before := len(d.found)
	if most, err := strconv.Atoi(tag.Get("max")); err == nil && len(s) > most {
		d.addAt(line, path, "has %d bytes; allowed: at most %d", len(s), most)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		d.addAt(line, path, "has control characters; allowed: printable text")
	}
	if strings.TrimSpace(s) != s {
		d.addAt(line, path, "begins or ends with white space")
	}
	return len(d.found) == before
}

func (d *decoder) instant(n *yaml.Node, path string, v reflect.Value) {
	t, err := time.Parse(time.RFC3339, n.Value)
	if k := kind(n); k != "!!timestamp" && k != "!!str" || err != nil {
		d.addAt(n.Line, path, "must be an instant such as 2030-01-31T18:00:00Z, is %s", shown(n))
		return
	}
	if t.IsZero() || t.Year() > 9999 {
		d.addAt(n.Line, path, "must be after the year 1, is %s", n.Value)
		return
	}
	v.Set(reflect.ValueOf(t.UTC()))
}

func (d *decoder) duration(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	value, err := time.ParseDuration(n.Value)
	if kind(n) != "!!str" || err != nil {
		d.addAt(n.Line, path, "must be a duration such as 250ms, 10s or 1h30m, is %s", shown(n))
		return
	}
	low, lowErr := time.ParseDuration(tag.Get("min"))
	high, highErr := time.ParseDuration(tag.Get("max"))
	if lowErr == nil && value < low || highErr == nil && value > high {
		d.addAt(n.Line, path, "is %s; allowed: %s", n.Value, bounds(tag))
		return
	}
	v.SetInt(int64(value))
}

func (d *decoder) within(n *yaml.Node, path string, number float64, tag reflect.StructTag) bool {
	low, lowErr := strconv.ParseFloat(tag.Get("min"), 64)
	over, overErr := strconv.ParseFloat(tag.Get("above"), 64)
	high, highErr := strconv.ParseFloat(tag.Get("max"), 64)
	if lowErr == nil && number < low || overErr == nil && number <= over || highErr == nil && number > high {
		d.addAt(n.Line, path, "is %s; allowed: %s", n.Value, bounds(tag))
		return false
	}
	return true
}

// bounds words the least and the most that a field's tag allows.
func bounds(tag reflect.StructTag) string {
	low, over, high := tag.Get("min"), tag.Get("above"), tag.Get("max")
	switch {
	case over != "" && high != "":
		return "above " + over + " and at most " + high
	case low != "" && high != "":
		return "from " + low + " to " + high
	case low != "":
		return "at least " + low
	default:
		return "at most " + high
	}
}

// kind is the type of a scalar; blank for what is none.
func kind(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.ShortTag()
}

// shown is a value as a person recognizes it.
func shown(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		return describe(n)
	}
	const most = 60
	if s := n.Value; len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(n.Value)
}
