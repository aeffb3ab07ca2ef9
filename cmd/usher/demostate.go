package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// demoState gives the file in which the demo on an address keeps its state from one start to the next, in a folder
// of the user's own below the system's for temporary files.
func demoState(address string) (string, error) {
	home := filepath.Join(os.TempDir(), fmt.Sprintf("usher-demo-%d", os.Getuid()))
	if err := os.Mkdir(home, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	// The file holds a key, and anybody may have made the folder first.
	if info, err := os.Lstat(home); err != nil || !info.IsDir() {
		return "", errors.Join(err, fmt.Errorf("%s is not a folder", home))
	}
	if err := os.Chmod(home, 0o700); err != nil { // only its owner may
		return "", err
	}
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' {
			return r
		}
		return '-'
	}, strings.TrimPrefix(address, "unix://"))
	dir := filepath.Join(home, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, "state"), nil
}
