package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plant is a tree of files to be checked: path to content.
type plant map[string]string

// grow writes the clean tree and the plant over it, and returns the root.
func grow(t *testing.T, p plant) string {
	t.Helper()
	root := t.TempDir()
	for _, tree := range []plant{clean(), p} {
		for name, content := range tree {
			full := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// laws runs the program over a plant and returns its status and its lines.
func laws(t *testing.T, p plant) (int, []string) {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(grow(t, p), &out, &errs)
	if errs.Len() > 0 {
		t.Fatalf("laws complained: %s", errs.String())
	}
	return status, strings.Split(strings.TrimSpace(out.String()), "\n")
}

// clean is a small house in which every rule is at its limit and none broken.
func clean() plant {
	return plant{
		"go.mod": "module usher.internal\n\ngo 1.26.0\n",
		"core/pool/pool.go": `package pool

import "time"

type Set struct{ Until map[string]time.Time }

const Minute = time.Minute
`,
		"core/decide/decide.go": `package decide

import (
	"maps"
	"slices"

	"usher.internal/core/pool"
)

func Count(s pool.Set) (n int) {
	for range s.Until { // order-free: a count
		n++
	}
	for _, k := range slices.Sorted(maps.Keys(s.Until)) {
		n += len(k)
	}
	return n
}
`,
		"core/clock.go": `package core

import "time"

func wall() time.Time { return time.Now() }
`,
		"core/store.go": `package core

import "log/slog"

type Store interface {
	// Take may block.
	Take() error
	// A may block.
	A()
	// B may block.
	B()
	// C may block.
	C()
	// D may block.
	D()
}

type Both interface {
	Store
	// E may block.
	E()
}

var logger *slog.Logger
`,
		"core/core_test.go": `package core_test

import (
	_ "pgregory.net/rapid"
	_ "usher.internal/core/internal/conformance"
	_ "usher.internal/store/memstore"
)
`,
		"core/internal/conformance/read.go":      "package conformance\n\nimport _ \"os\"\n",
		"store/memstore/mem.go":                  "package memstore\n\nimport _ \"usher.internal/core\"\n\nfunc New(a, b, c, d int, opts ...int) {}\n",
		"store/memstore/mem_test.go":             "package memstore\n\nimport _ \"usher.internal/store/storetest\"\n",
		"store/storetest/suite.go":               "package storetest\n\nimport \"testing\"\n\nfunc Run(t *testing.T) { t.Fatal(1) }\n",
		"store/storetest/counts.go":              "package storetest\n\nimport \"math/rand/v2\"\n\nvar seeded = rand.New(rand.NewPCG(1, 2))\n",
		"store/secret/secret.go":                 "package secret\n\nimport _ \"crypto/rand\"\n",
		"store/storetest/redistest/real.go":      "package redistest\n\nimport \"time\"\n\nfunc wait() { time.Sleep(1) }\n",
		"server/server.go":                       "package server\n\nimport (\n\t_ \"google.golang.org/grpc\"\n\t_ \"usher.internal/core\"\n\t_ \"usher.internal/gen/usher/v1\"\n)\n",
		"server/timer_test.go":                   "package server\n\nimport (\n\t\"testing/synctest\"\n\t\"time\"\n)\n\nfunc f() { synctest.Test(nil, nil); <-time.After(1) }\n",
		"gen/usher/v1/long.pb.go":                "package usherv1\n\nfunc init() { panic(1) }\n" + strings.Repeat("\n", 500),
		"cmd/internal/app/app.go":                "package app\n\nimport (\n\t_ \"usher.internal/server\"\n\t_ \"usher.internal/store/memstore\"\n)\n",
		"cmd/usher/main.go":                      "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(0) }\n",
		"docs/client/node/node_modules/x/x.js":   strings.Repeat("\n", 500),
		".ci/anything/util/x.go":                 "package util\n",
		"tools/sixty.go":                         "package tools\n\nfunc sixty() {" + strings.Repeat("\n", 59) + "}\n",
		"tools/table_test.go":                    "package tools\n\nfunc f() {\n\t_ = []int{" + strings.Repeat("\n1,", 90) + "\n}\n}\n",
		"tools/four_hundred_is_the_last_good.go": "package tools\n" + strings.Repeat("\n", 399),
	}
}
