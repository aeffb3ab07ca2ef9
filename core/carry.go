package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"usher.internal/core/decide"
)

// carriedVersion is that of what a scheduler carries over a restart.
const carriedVersion = 1

// carried is what a scheduler has learned and cannot ask its store for. Numbers survive JSON to the bit.
type carried struct {
	Version  int              `json:"version"`
	Accounts []carriedAccount `json:"accounts,omitempty"`
	Owners   []carriedOwner   `json:"owners,omitempty"`
}

type carriedAccount struct {
	ID        string  `json:"id"`
	ErrorRate float64 `json:"error_rate"`
	TTFT      float64 `json:"ttft_ms,omitempty"`
	HasTTFT   bool    `json:"has_ttft,omitempty"`
	// The weights that both had left at At, nanoseconds since 1970. Times per model are not carried: they are learned anew.
	ErrorWeight float32 `json:"error_weight,omitempty"`
	TTFTWeight  float32 `json:"ttft_weight,omitempty"`
	At          int64   `json:"at"`
}

// carriedOwner is an incarnation that has attached, in the order of first attachments.
type carriedOwner struct {
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	// Since is when it attached first, nanoseconds since 1970.
	Since int64 `json:"since"`
	// Gone says that nobody waits for it.
	Gone bool `json:"gone,omitempty"`
}

// ExportState gives what is to be carried over a restart besides the store: what reports have taught, and who has
// attached. The same state gives the same bytes. It does not block.
func (s *Scheduler) ExportState() []byte {
	c := carried{Version: carriedVersion, Accounts: s.stats.carry(s.registry.ids()), Owners: s.owners.carry()}
	out, err := json.Marshal(&c)
	if err != nil {
		// Statistics are finite, and the rest is text.
		s.logger.Error("what was learned cannot be exported", "error", err)
		return nil
	}
	return out
}

// StateChanges counts what ExportState would tell otherwise.
func (s *Scheduler) StateChanges() uint64 { return s.learned.Load() + s.owners.changesNow() }

// CheckState says whether ImportState could read a section.
func CheckState(section []byte) error {
	_, err := readCarried(section)
	return err
}

// ImportState takes up what ExportState gave, in a scheduler that nobody has used yet. Owners that were waited for
// have their grace from now on to attach again. On an error nothing has changed; an empty section is none.
func (s *Scheduler) ImportState(section []byte) error {
	c, err := readCarried(section)
	if err != nil {
		return err
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		s.stats.restore(s.registry.ordinal(a.ID), decide.Stat{
			ErrorRate: a.ErrorRate, TTFT: a.TTFT, HasTTFT: a.HasTTFT, ErrorWeight: a.ErrorWeight, TTFTWeight: a.TTFTWeight,
		}, time.Unix(0, a.At), s.clock.Now())
	}
	s.owners.restore(c.Owners, s.clock.Now())
	return nil
}

func readCarried(section []byte) (*carried, error) {
	c := &carried{}
	if len(section) == 0 {
		return c, nil
	}
	d := json.NewDecoder(bytes.NewReader(section))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, &Error{Kind: KindInternal, Text: "what was carried over cannot be read", Err: err}
	}
	if d.More() || c.Version != carriedVersion {
		return nil, &Error{Kind: KindInternal, Text: fmt.Sprintf("what was carried over is of version %d, this is %d", c.Version, carriedVersion)}
	}
	for i := range c.Accounts {
		if a := &c.Accounts[i]; a.ID == "" || !within01(a.ErrorRate, float64(a.ErrorWeight), float64(a.TTFTWeight)) || a.TTFT < 0 || a.TTFT == 0 && a.HasTTFT {
			return nil, &Error{Kind: KindInternal, Text: fmt.Sprintf("what was carried over of account %q cannot be", a.ID)}
		}
	}
	for i := range c.Owners {
		if o := &c.Owners[i]; o.Name == "" || o.Incarnation == "" {
			return nil, &Error{Kind: KindInternal, Text: "an owner that was carried over has no name"}
		}
	}
	return c, nil
}

func within01(all ...float64) bool {
	return !slices.ContainsFunc(all, func(x float64) bool { return !(x >= 0 && x <= 1) })
}

// ids gives the accounts by ordinal.
func (r *registry) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, len(r.ordinals))
	for id, ordinal := range r.ordinals { // order-free: each writes its own place
		out[ordinal] = id
	}
	return out
}

// carry gives the statistics of accounts that have any, by id.
func (s *stats) carry(ids []string) (out []carriedAccount) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for ordinal := range min(len(s.rows), len(ids)) {
		if row := &s.rows[ordinal]; s.known[ordinal] && finite(row.ErrorRate) && finite(row.TTFT) {
			out = append(out, carriedAccount{
				ID: ids[ordinal], ErrorRate: row.ErrorRate, TTFT: row.TTFT, HasTTFT: row.HasTTFT,
				ErrorWeight: row.ErrorWeight, TTFTWeight: row.TTFTWeight, At: s.epoch.Add(s.at[ordinal]).UnixNano(),
			})
		}
	}
	slices.SortFunc(out, func(a, b carriedAccount) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// restore sets a row as it was at a time; it goes on fading from there, and from now at the latest.
func (s *stats) restore(ordinal int32, row decide.Stat, at, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoomLocked(ordinal)
	if s.epoch.IsZero() {
		s.epoch = now
	}
	if at.After(now) {
		at = now
	}
	s.rows[ordinal], s.at[ordinal] = row, at.Sub(s.epoch)
	if !s.known[ordinal] {
		s.known[ordinal] = true
		s.count++
	}
}

// carry gives the incarnations in the order in which they attached first.
func (o *owners) carry() (out []carriedOwner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*incarnation
	for _, lives := range o.byName { // order-free: sorted below
		all = append(all, lives...)
	}
	slices.SortFunc(all, func(a, b *incarnation) int {
		if a.order < b.order {
			return -1
		}
		return 1
	})
	for _, i := range all {
		gone := i.due.IsZero() || i.looks > 0
		out = append(out, carriedOwner{i.owner.Name, i.owner.Incarnation, i.since.UnixNano(), gone})
	}
	return out
}

// restore makes incarnations known again.
func (o *owners) restore(all []carriedOwner, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := range all {
		owner := Owner{Name: all[n].Name, Incarnation: all[n].Incarnation}
		if o.findLocked(owner) != nil {
			continue
		}
		i := o.knowLocked(owner, time.Unix(0, all[n].Since))
		if all[n].Gone {
			o.goneLocked(i)
		} else {
			i.due = now.Add(o.terms.OwnerGrace)
		}
	}
	o.wake()
}

func (o *owners) changesNow() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changes
}
