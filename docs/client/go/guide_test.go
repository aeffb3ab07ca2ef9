package gateway

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The guide is held against the examples and the contract: it cannot drift from them unseen.

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../client.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section gives the text from a heading to the next of its depth or above.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(guide(t), "\n"+heading+"\n")
	if !found {
		t.Fatalf("the guide has no %q", heading)
	}
	depth := len(heading) - len(strings.TrimLeft(heading, "#"))
	next := regexp.MustCompile(`(?m)^#{1,` + string(rune('0'+depth)) + `} `)
	if at := next.FindStringIndex(rest); at != nil {
		rest = rest[:at[0]]
	}
	return rest
}

func TestGuideQuotesTheExamples(t *testing.T) {
	quote := regexp.MustCompile("(?s)(?:<!-- from ([^ ]+) -->\n)?```([a-z]+)\n(.*?)\n```\n")
	quotes := 0
	for _, m := range quote.FindAllStringSubmatch(guide(t), -1) {
		file, language, text := m[1], m[2], m[3]
		if file == "" {
			if slices.Contains([]string{"go", "js", "python"}, language) {
				t.Errorf("code that names no file:\n%s", text)
			}
			continue
		}
		quotes++
		source, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Error(err)
			continue
		}
		if !contains(strings.Split(string(source), "\n"), strings.Split(text, "\n")) {
			t.Errorf("%s has no such lines:\n%s", file, text)
		}
	}
	if quotes == 0 {
		t.Error("the guide quotes nothing")
	}
}

// contains says whether the lines stand in the source in one piece, all indented by the same.
func contains(source, lines []string) bool {
	for at := range len(source) - len(lines) + 1 {
		indent, found := strings.CutSuffix(source[at], lines[0])
		if !found || strings.TrimSpace(indent) != "" {
			continue
		}
		same := 0
		for same < len(lines) && (source[at+same] == indent+lines[same] || source[at+same] == "" && lines[same] == "") {
			same++
		}
		if same == len(lines) {
			return true
		}
	}
	return false
}

// Each heading that is a message's name has a table of all its fields.
func TestGuideTellsEveryField(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	for _, name := range []string{"SelectRequest", "Owner", "RequestRef", "ReportRequest", "ReportEvent", "FirstToken", "Finished", "RenewRequest", "ClientHello", "SequencedEvent", "Heartbeat"} {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("usher.v1." + name))
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		fields := found.(protoreflect.MessageDescriptor).Fields()
		for i := range fields.Len() {
			want = append(want, string(fields.Get(i).Name()))
		}
		for _, m := range row.FindAllStringSubmatch(section(t, "### "+name), -1) {
			got = append(got, m[1])
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the guide tells of %v, the contract of %v", name, got, want)
		}
	}
}

// What the contract marks as not built yet is what the guide lists.
func TestGuideTellsWhatIsNotBuilt(t *testing.T) {
	files, err := filepath.Glob("../../../proto/usher/v1/*.proto")
	if err != nil || len(files) == 0 {
		t.Fatal("no contract: ", err)
	}
	var want, got []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		comment := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if said, is := strings.CutPrefix(line, "//"); is {
				comment += said
				continue
			}
			declared, _, is := strings.Cut(line, " = ")
			if is && strings.Contains(comment, "Not built yet") {
				want = append(want, declared[strings.LastIndex(declared, " ")+1:])
			}
			comment = ""
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z_.]+)` \\|").FindAllStringSubmatch(section(t, "## Not built yet"), -1) {
		got = append(got, m[1][strings.LastIndex(m[1], ".")+1:])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the guide lists %v as not built yet, the contract %v", got, want)
	}
}
