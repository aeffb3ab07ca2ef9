package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// DirEnv names the environment variable that points to another directory of cases.
const DirEnv = "USHER_CONFORMANCE_DIR"

// Dir gives the directory of the cases: DirEnv's, else the given one.
func Dir(otherwise string) string {
	if dir := os.Getenv(DirEnv); dir != "" {
		return dir
	}
	return otherwise
}

// Files are the cases' names, without extension.
var Files = []string{"score", "order", "ewma", "select", "sequence"}

// Choose gives those of the wanted files that there are cases of. Another directory than the given one may
// hold any of them, but not none, and must be named by its whole path: each package's tests run in their own.
func Choose(otherwise string, wanted ...string) (dir string, files []string, err error) {
	dir = Dir(otherwise)
	if dir == otherwise {
		return dir, wanted, nil
	}
	if !filepath.IsAbs(dir) {
		return "", nil, fmt.Errorf("%s is %q: give the whole path", DirEnv, dir)
	}
	found := false
	for _, name := range Files {
		f, err := open(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		if err := f.Close(); err != nil {
			return "", nil, err
		}
		found = true
		if slices.Contains(wanted, name) {
			files = append(files, name)
		}
	}
	if !found {
		return "", nil, fmt.Errorf("%s: no cases in %s", DirEnv, dir)
	}
	return dir, files, nil
}

// Each streams the records of dir/name.jsonl, or else of dir/name.jsonl.gz, in order. It stops at the
// first error, which names file and line; n is the number of records handed to fn.
func Each[T any](dir, name string, fn func(*T) error) (n int, err error) {
	r, err := open(dir, name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	lines := bufio.NewReaderSize(r, 1<<20)
	for line := 1; ; line++ {
		data, readErr := lines.ReadBytes('\n')
		if readErr != nil && readErr != io.EOF {
			return n, fmt.Errorf("%s: line %d: %w", name, line, readErr)
		}
		if len(bytes.TrimSpace(data)) > 0 {
			record := new(T)
			if err := json.Unmarshal(data, record); err != nil {
				return n, fmt.Errorf("%s: line %d: %w", name, line, err)
			}
			n++
			if err := fn(record); err != nil {
				return n, fmt.Errorf("%s: line %d: %w", name, line, err)
			}
		}
		if readErr == io.EOF {
			return n, nil
		}
	}
}

func open(dir, name string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(dir, name+".jsonl"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f, err = os.Open(filepath.Join(dir, name+".jsonl.gz"))
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return zipped{z, f}, nil
}

type zipped struct {
	*gzip.Reader
	file *os.File
}

func (z zipped) Close() error { return errors.Join(z.Reader.Close(), z.file.Close()) }

// Bits is a float64 that is compared by its bits, or nothing.
type Bits struct {
	Value float64
	Valid bool // false for null
}

// Exact wraps a number.
func Exact(v float64) Bits { return Bits{v, true} }

// UnmarshalJSON reads 16 hex digits or null.
func (b *Bits) UnmarshalJSON(data []byte) error {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == nil {
		*b = Bits{}
		return nil
	}
	u, err := strconv.ParseUint(*text, 16, 64)
	if err != nil {
		return err
	}
	*b = Exact(math.Float64frombits(u))
	return nil
}

// Same tells that both are nothing or the same bits.
func (b Bits) Same(o Bits) bool {
	return b.Valid == o.Valid && (!b.Valid || math.Float64bits(b.Value) == math.Float64bits(o.Value))
}

// String gives number and bits.
func (b Bits) String() string {
	if !b.Valid {
		return "none"
	}
	return fmt.Sprintf("%v (%016x)", b.Value, math.Float64bits(b.Value))
}
