package core_test

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher.internal/core"
	"usher.internal/core/internal/model"
)

func scripts() *rapid.Generator[script] {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			kind:    rapid.IntRange(0, stepKinds-1).Draw(t, "kind"),
			numbers: rapid.SliceOfN(rapid.Byte(), stepNumbers, stepNumbers).Draw(t, "numbers"),
		}
	})
	return rapid.Custom(func(t *rapid.T) script {
		of := func(name string, values ...int) int { return rapid.SampledFrom(values).Draw(t, name) }
		s := script{rules: model.Rules{
			Spill: rapid.Bool().Draw(t, "spill"), MaxAge: time.Duration(of("max age", 0, 40)) * time.Second,
			FallbackWait: time.Duration(of("fallback wait", 30, 8)) * time.Second, StickyWait: time.Duration(of("sticky wait", 45, 12)) * time.Second,
			FallbackMost: of("fallback", 3, 100, 1), StickyMost: of("sticky", 2, 1),
			TenantLeases: of("leases", 0, 3), TenantWaits: of("waits", 0, 2), MaxCooldown: time.Minute, Backoff: 5 * time.Second,
			HeartbeatTimeout: core.DefaultHeartbeatTimeout, Grace: core.DefaultOwnerGrace, Aging: 10 * time.Second,
		}}
		for i := range of("accounts", 1, 2, 3) {
			a := model.Account{ID: string(rune('a' + i)), Limit: of("limit", 1, 2, 1, 0), Groups: [][]string{{"g"}, nil}[of("group", 0, 0, 1)]}
			a.Models = [][]string{nil, {"m1"}, {"m1", "m2"}}[of("models", 0, 0, 1, 2)]
			s.accounts = append(s.accounts, a)
		}
		s.steps = rapid.SliceOfN(one, of("least", 0, 20, 40, 60), 60).Draw(t, "steps")
		for i := range s.steps {
			s.steps[i].number = i + 1
		}
		return s
	})
}

// modelRounds is how often TestAgainstModel makes rapid's checks.
func modelRounds(t *testing.T) int {
	text := os.Getenv("USHER_MODEL_ROUNDS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("USHER_MODEL_ROUNDS=%q is no number of rounds", text)
	}
	return n
}

// modelSeed is where the rounds begin: the same ones each time, unless USHER_MODEL_SEED says others.
func modelSeed(t *testing.T) int {
	text := os.Getenv("USHER_MODEL_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("USHER_MODEL_SEED=%q is no seed", text)
	}
	return n
}

// fewest leaves steps out of a script that fails, as long as it does, and gives the last error.
func fewest(t *testing.T, s script, err error) error {
	for at := len(s.steps) - 1; at >= 0; at-- {
		less := s
		less.steps = slices.Delete(slices.Clone(s.steps), at, at+1)
		if fewer := perform(t, less, sound); fewer != nil {
			s, err = less, fewer
		}
	}
	return err
}

func sound(s core.Store) core.Store { return s }

// TestAgainstModel does the same at random to the scheduler and to the model.
func TestAgainstModel(t *testing.T) {
	run := scripts()
	for round := range modelRounds(t) {
		if err := flag.Set("rapid.seed", strconv.Itoa(modelSeed(t)+round)); err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) {
			s := run.Draw(rt, "script")
			if err := perform(t, s, sound); err != nil {
				rt.Fatal(fewest(t, s, err))
			}
		})
	}
}
