package config

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"usher.internal/core/decide"
)

var write = flag.Bool("write", false, "write the pages under docs instead of comparing them")

// TestPage keeps docs/config.md and docs/usher.example.yaml the same as what they are generated from.
func TestPage(t *testing.T) {
	comments := fieldComments(t)
	for path, want := range map[string][]byte{
		"../../../docs/config.md":          page(t, comments),
		"../../../docs/usher.example.yaml": Example,
	} {
		if *write {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its source says: run go generate ./cmd/internal/config", path)
		}
	}
}

// TestPolicyFaultsNameTheFile: what core says of a policy is found in the file under the name that it gives.
func TestPolicyFaultsNameTheFile(t *testing.T) {
	bad := decide.Policy{
		Weights: decide.Weights{Priority: -1, Load: -1, Queue: -1, ErrorRate: -1, TTFT: -1}, SessionTTL: -1, ResponseTTL: -1,
		StickyWait: decide.Wait{Timeout: -1, MaxWaiting: -1}, FallbackWait: decide.Wait{Timeout: -1, MaxWaiting: -1},
		HalfLife: -1, MaxCooldown: -1, Overloaded: decide.Backoff{Base: -1, Cap: -2, Jitter: -1},
		Escape: decide.Escape{ErrorRate: -1, TTFTFactor: -1, TTFTFloor: -1, Length: -1},
	}
	text := string(page(t, fieldComments(t)))
	faults := bad.Validate()
	if len(faults) != 21 {
		t.Errorf("%d faults: %v", len(faults), faults)
	}
	for _, f := range faults {
		if !strings.Contains(text, "`"+f.Field+"`") {
			t.Errorf("the file has no %s", f.Field)
		}
	}
}

// fieldComments gives the doc comment of each struct field as "Type.Field".
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, name := range []string{"config.go", "policy.go", "server.go", "redis.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				comments[spec.Name.Name+"."+field.Names[0].Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
			return false
		})
	}
	return comments
}

const pageHead = `# The configuration file

<!-- Generated from cmd/internal/config by go generate. -->

One YAML document, read strictly: an unknown or repeated field, a value of another type or out of bounds is an error that names
file, line, field and what is allowed, and all of them are told at once. ` + "`usher config check FILE`" + ` tells without serving.
Durations are text such as ` + "`250ms`, `10s`, `1h30m`" + `; instants are RFC 3339, such as ` + "`2030-01-31T18:00:00Z`" + `. Texts have no control
characters and no white space at their ends; numbers are decimal. Aliases are not allowed.

` + "`groups`, `accounts`, `policy` and `outcomes`" + ` are read again when the file changes and on SIGHUP: all of it, or, when there is a mistake in it,
nothing. ` + "`server`, `memory` and `redis`" + ` take effect at a restart, but for ` + "`server.log.level`" + `. Flags of ` + "`usher serve`" + ` win over the file.

An annotated example: [usher.example.yaml](usher.example.yaml), or ` + "`usher config example`" + `.

| field | value | meaning |
|---|---|---|
`

func page(t *testing.T, comments map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(pageHead)
	rows(t, &b, comments, "", reflect.ValueOf(Default()).Elem())
	tellsReference(t, comments, "policy", reflect.ValueOf(defaultsOf("recommended")), reflect.ValueOf(defaultsOf("reference")))
	return b.Bytes()
}

func rows(t *testing.T, b *bytes.Buffer, comments map[string]string, path string, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := join(path, field.Tag.Get("yaml"))
		comment := comments[v.Type().Name()+"."+field.Name]
		if comment == "" {
			t.Errorf("%s has no comment", name)
		}
		if section := v.Field(i).Kind() == reflect.Struct && field.Type != reflect.TypeFor[time.Time](); section {
			fmt.Fprintf(b, "| `%s` | section | %s |\n", name, comment)
			rows(t, b, comments, name, v.Field(i))
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, valueText(field), comment)
		if field.Tag.Get("required") == "" && !strings.Contains(comment, "Default "+defaultText(v.Field(i))) {
			t.Errorf("%s: the comment does not say %q", name, "Default "+defaultText(v.Field(i)))
		}
		switch item := field.Type; {
		case item.Kind() == reflect.Slice && item.Elem().Kind() == reflect.Struct:
			v := reflect.New(item.Elem())
			v.Interface().(interface{ setDefaults() }).setDefaults()
			rows(t, b, comments, name+"[]", v.Elem())
		case item.Kind() == reflect.Map && item.Elem().Kind() == reflect.Struct && item.Elem() != reflect.TypeFor[time.Time]():
			rows(t, b, comments, name+"[NAME]", reflect.New(item.Elem()).Elem())
		}
	}
}

// tellsReference checks that a field whose default is another in profile reference says so.
func tellsReference(t *testing.T, comments map[string]string, path string, recommended, reference reflect.Value) {
	t.Helper()
	for i := range recommended.NumField() {
		field := recommended.Type().Field(i)
		name := join(path, field.Tag.Get("yaml"))
		x, y := recommended.Field(i), reference.Field(i)
		if x.Kind() == reflect.Struct {
			tellsReference(t, comments, name, x, y)
			continue
		}
		want, comment := "(reference "+defaultText(y)+")", comments[recommended.Type().Name()+"."+field.Name]
		if differs := defaultText(x) != defaultText(y) && field.Name != "Profile"; differs != strings.Contains(comment, want) {
			t.Errorf("%s: the comment says %q: %t, want %t", name, want, !differs, differs)
		}
	}
}

func valueText(field reflect.StructField) string {
	text := map[reflect.Type]string{
		reflect.TypeFor[time.Time]():              "instant",
		reflect.TypeFor[time.Duration]():          "duration",
		reflect.TypeFor[map[string]string]():      "texts by text",
		reflect.TypeFor[map[string]time.Time]():   "instants by text",
		reflect.TypeFor[[]Account]():              "list",
		reflect.TypeFor[[]Outcome]():              "list",
		reflect.TypeFor[map[string]TenantLimit](): "sections by text",
		reflect.TypeFor[[]string]():               "list of texts",
		reflect.TypeFor[string]():                 "text",
		reflect.TypeFor[bool]():                   "`true` or `false`",
		reflect.TypeFor[int]():                    "whole number",
		reflect.TypeFor[float64]():                "number",
	}[field.Type]
	if allowed := strings.Fields(field.Tag.Get("allowed")); len(allowed) > 0 {
		prefix := ""
		if field.Type.Kind() == reflect.Slice {
			prefix = "list of "
		}
		return prefix + "`" + strings.Join(allowed, "`, `") + "`"
	}
	if field.Type.Kind() != reflect.String && field.Type.Kind() != reflect.Slice && field.Type.Kind() != reflect.Map &&
		field.Tag.Get("min")+field.Tag.Get("above")+field.Tag.Get("max") != "" {
		return text + ", " + bounds(field.Tag)
	}
	return text
}

func defaultText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Time:
		return "none"
	case time.Duration:
		text := x.String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return text
	case string:
		if x == "" {
			return `""`
		}
		return x
	}
	switch v.Kind() {
	case reflect.Slice:
		return strings.ReplaceAll(fmt.Sprint(v.Interface()), " ", ", ")
	case reflect.Map:
		return "{}"
	default:
		return fmt.Sprint(v.Interface())
	}
}
