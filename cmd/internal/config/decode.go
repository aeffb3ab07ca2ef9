package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills structs from nodes by their yaml tags and records every value that does not fit.
type decoder struct {
	*problems
}

// value decodes a node into v. tag is that of the struct field around it.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if _, seen := d.lines[path]; !seen {
		d.lines[path] = n.Line
	}
	if n.Kind == yaml.AliasNode {
		d.addAt(n.Line, path, "an alias (*%s) is not allowed: write the value out", n.Value)
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		d.instant(n, path, v)
		return
	case time.Duration:
		d.duration(n, path, v, tag)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(n, path, v)
	case reflect.Slice:
		d.list(n, path, v, tag)
	case reflect.Map:
		d.mapping(n, path, v, tag)
	default:
		d.scalar(n, path, v, tag)
	}
}

// fields decodes a mapping whose keys are the struct's fields.
func (d *decoder) fields(n *yaml.Node, path string, v reflect.Value) {
	if isNull(n) {
		d.require(n, path, v, nil)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.addAt(n.Line, path, "must have fields (%s), is %s", strings.Join(fieldNames(v.Type()), ", "), describe(n))
		return
	}
	seen := d.keys(n, path)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] != key {
			continue
		}
		field, ok := fieldByName(v.Type(), key.Value)
		if !ok {
			d.addAt(key.Line, join(path, key.Value), "unknown field; allowed here: %s", strings.Join(fieldNames(v.Type()), ", "))
			continue
		}
		d.value(value, join(path, key.Value), v.FieldByIndex(field.Index), field.Tag)
	}
	d.require(n, path, v, seen)
}

func (d *decoder) require(n *yaml.Node, path string, v reflect.Value, seen map[string]*yaml.Node) {
	for _, name := range fieldNames(v.Type()) {
		field, _ := fieldByName(v.Type(), name)
		if field.Tag.Get("required") != "" && seen[name] == nil {
			d.addAt(n.Line, join(path, name), "is required")
		}
	}
}

// keys gives the key nodes of a mapping, the first of each name, and records those that come again.
func (d *decoder) keys(n *yaml.Node, path string) map[string]*yaml.Node {
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			d.addAt(key.Line, path, "a key must be text, is %s", describe(key))
			continue
		}
		if first := seen[key.Value]; first != nil {
			d.addAt(key.Line, join(path, key.Value), "is given twice, first on line %d", first.Line)
			continue
		}
		seen[key.Value] = key
	}
	return seen
}

// list decodes a sequence; a value without elements replaces the default too.
func (d *decoder) list(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if isNull(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		v.SetZero()
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.addAt(n.Line, path, "must be a list, is %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if a, ok := out.Index(i).Addr().Interface().(interface{ setDefaults() }); ok {
			a.setDefaults()
		}
		d.value(item, fmt.Sprintf("%s[%d]", path, i), out.Index(i), tag)
	}
	v.Set(out)
}

// mapping decodes keys that are free and values of one type; one without any replaces the default too.
func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if isNull(n) || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		v.SetZero()
		return
	}
	if n.Kind != yaml.MappingNode {
		d.addAt(n.Line, path, "must map names to values, is %s", describe(n))
		return
	}
	seen := d.keys(n, path)
	out := reflect.MakeMapWithSize(v.Type(), len(seen))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, node := n.Content[i], n.Content[i+1]
		if seen[key.Value] != key {
			continue
		}
		at := fmt.Sprintf("%s[%q]", path, key.Value)
		d.text(key.Line, at, key.Value, tag)
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(node, at, value, tag)
		out.SetMapIndex(reflect.ValueOf(key.Value), value)
	}
	v.Set(out)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
	}
	kinds := map[string]string{
		"!!str": "text", "!!int": "a number", "!!float": "a number", "!!bool": "true or false",
		"!!null": "empty", "!!timestamp": "an instant",
	}
	if kind, ok := kinds[n.ShortTag()]; ok {
		return kind
	}
	return "of the type " + n.ShortTag()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("yaml"))
	}
	return names
}

func fieldByName(t reflect.Type, name string) (reflect.StructField, bool) {
	i := slices.Index(fieldNames(t), name)
	if i < 0 {
		return reflect.StructField{}, false
	}
	return t.Field(i), true
}
