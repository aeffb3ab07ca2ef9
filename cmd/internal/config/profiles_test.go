package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestProfilesPage: docs/profiles.md has a row for each knob in which the profiles differ, with both values, and no
// other; each names a test that exists. What policyOf says is all that core knows: TestDefaultsAreTheProfile.
func TestProfilesPage(t *testing.T) {
	text, err := os.ReadFile("../../../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(policy[a-z_.]+)` \\| (\\S+) \\| (\\S+) \\| .* \\| `([a-z/]+): (Test\\w+)` \\|$")
	got := make(map[string]string)
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		got[m[1]] = m[2] + " or " + m[3]
		if !hasTest(t, m[4], m[5]) {
			t.Errorf("%s: there is no %s in %s", m[1], m[5], m[4])
		}
	}
	if lines := strings.Count(string(text), "\n| `policy"); lines != len(got) {
		t.Errorf("%d rows, of which %d can be read", lines, len(got))
	}
	want := make(map[string]string)
	differences(want, "policy", reflect.ValueOf(defaultsOf("reference")), reflect.ValueOf(defaultsOf("recommended")))
	delete(want, "policy.profile")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the page says\n%v\nthe profiles differ in\n%v", got, want)
	}
}

func differences(out map[string]string, path string, x, y reflect.Value) {
	for i := range x.NumField() {
		name := join(path, x.Type().Field(i).Tag.Get("yaml"))
		a, b := x.Field(i), y.Field(i)
		switch {
		case a.Kind() == reflect.Struct:
			differences(out, name, a, b)
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			out[name] = defaultText(a) + " or " + defaultText(b)
		}
	}
}

func hasTest(t *testing.T, room, name string) bool {
	t.Helper()
	files, err := filepath.Glob("../../../" + room + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T) {") {
			return true
		}
	}
	return false
}
