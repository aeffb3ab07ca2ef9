package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxBytes bounds a file; 100,000 accounts need about half of it.
const maxBytes = 64 << 20

// Load reads a file. Errors: *Error for what is wrong in it, or one that says why it cannot be read.
func Load(path string) (*Config, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Read gives the bytes of a file, or an error that says why it cannot be read.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("config %s: there is no such file; usher config example prints one to start from", path)
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("config %s: this is a directory; name the file in it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("config %s: more than %d MiB", path, maxBytes>>20)
	}
	return data, nil
}

// Parse reads the bytes of a file. name is what errors call it. Its error is an *Error with all that is wrong.
func Parse(name string, data []byte) (*Config, error) {
	c, p := parse(data)
	if err := p.err(name); err != nil {
		return nil, err
	}
	return c, nil
}

// Check is Load for a file that nothing on a command line adds to: it refuses what serve --config alone would not
// serve. Host names are looked up, as serve does.
func Check(path string) (*Config, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	c, p := parse(data)
	if c != nil {
		checkExposed(p, &c.Server)
		checkStore(p, c)
	}
	if err := p.err(path); err != nil {
		return nil, err
	}
	return c, nil
}

// parse gives nil for what is no YAML document, and always the problems.
func parse(data []byte) (*Config, *problems) {
	p := &problems{lines: make(map[string]int)}
	root := document(p, data)
	if root == nil {
		return nil, p
	}
	c := Default()
	c.Policy = defaultsOf(profileIn(root))
	d := decoder{problems: p}
	d.value(root, "", reflect.ValueOf(c).Elem(), "")
	check(p, c)
	return c, p
}

// profileIn gives the profile that a file names; blank when it names none.
func profileIn(root *yaml.Node) string {
	for _, key := range [...]string{"policy", "profile"} {
		if root.Kind != yaml.MappingNode {
			return ""
		}
		value := new(yaml.Node)
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == key {
				value = root.Content[i+1]
				break
			}
		}
		root = value
	}
	return root.Value
}

// document gives the file's one document, or nil and a problem.
func document(p *problems, data []byte) *yaml.Node {
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := reader.Decode(&doc); {
	case errors.Is(err, io.EOF):
		p.addAt(1, "", "the file is empty: it needs at least accounts")
		return nil
	case err != nil:
		addSyntax(p, data, err)
		return nil
	}
	switch err := reader.Decode(&next); {
	case err == nil:
		p.addAt(next.Line, "", "a second document begins: only one is allowed")
		return nil
	case !errors.Is(err, io.EOF):
		addSyntax(p, data, err)
		return nil
	}
	root := doc.Content[0]
	if isNull(root) {
		p.addAt(1, "", "the file is empty: it needs at least accounts")
		return nil
	}
	return root
}

// addSyntax turns an error of the YAML reader, "yaml: line 3: what", into a problem.
func addSyntax(p *problems, data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, text = n, what
		}
	} else if _, rest, ok := strings.Cut(text, "unknown anchor '"); ok {
		anchor, _, _ := strings.Cut(rest, "'")
		before, _, _ := bytes.Cut(data, []byte("*"+anchor))
		line = 1 + bytes.Count(before, []byte("\n"))
	}
	p.addAt(line, "", "not YAML: %s", text)
}
