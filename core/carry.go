package core

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	ID string `json:"id"`
	carriedStat
	// Models are the first-token times of upstream models, where a policy asked for them.
	Models []carriedModel `json:"models,omitempty"`
}

type carriedModel struct {
	Model string `json:"model"`
	carriedStat
}

// carriedStat is a row of the statistics, as it stood at a time.
type carriedStat struct {
	ErrorRate   float64 `json:"error_rate,omitempty"`
	TTFT        float64 `json:"ttft_ms,omitempty"`
	ErrorWeight float32 `json:"error_weight,omitempty"`
	TTFTWeight  float32 `json:"ttft_weight,omitempty"`
	HasTTFT     bool    `json:"has_ttft,omitempty"`
	// At is nanoseconds since 1970.
	At int64 `json:"at"`
}

func (c *carriedStat) possible() bool {
	weights := c.ErrorWeight >= 0 && c.ErrorWeight <= 1 && c.TTFTWeight >= 0 && c.TTFTWeight <= 1
	return weights && c.ErrorRate >= 0 && c.ErrorRate <= 1 && c.TTFT >= 0 && c.HasTTFT == (c.TTFT > 0) && c.At >= 0
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

// ImportState takes up what ExportState gave, and the deadlines that the store has, in a scheduler that nobody has used
// yet. Owners that were waited for have their grace from now on to attach again. On an error nothing has
// changed; an empty section is none. Errors: KindInternal for a section that CheckState refuses, KindStoreUnavailable, ctx's own.
func (s *Scheduler) ImportState(ctx context.Context, section []byte) error {
	c, err := readCarried(section)
	if err != nil {
		return err
	}
	cooling, err := s.store.Cooling(ctx)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	for i := range cooling {
		if cooling[i].Reason == decide.AuthFailed {
			continue // a start lifts it
		}
		s.colds.set(s.registry.ordinal(cooling[i].Account), &cooling[i])
	}
	s.line.watchAll()
	for i := range c.Accounts {
		s.stats.restore(s.registry.ordinal(c.Accounts[i].ID), &c.Accounts[i], now)
	}
	s.owners.restore(c.Owners, now)
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
		a := &c.Accounts[i]
		possible := a.ID != "" && a.possible() && len(a.Models) <= maxModelStats
		for n := range a.Models {
			possible = possible && a.Models[n].possible()
		}
		if !possible {
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
		if !s.known[ordinal] {
			continue
		}
		a := carriedAccount{ID: ids[ordinal], carriedStat: s.carryLocked(&s.rows[ordinal], s.at[ordinal])}
		if ordinal < len(s.models) {
			for n := range s.models[ordinal] {
				m := &s.models[ordinal][n]
				a.Models = append(a.Models, carriedModel{m.model, s.carryLocked(&m.stat, m.at)})
			}
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b carriedAccount) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (s *stats) carryLocked(row *decide.Stat, at time.Duration) carriedStat {
	return carriedStat{row.ErrorRate, row.TTFT, row.ErrorWeight, row.TTFTWeight, row.HasTTFT, s.epoch.Add(at).UnixNano()}
}

// restore sets an account's rows as they stood, none later than now.
func (s *stats) restore(ordinal int32, a *carriedAccount, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoomLocked(ordinal)
	if s.epoch.IsZero() {
		s.epoch = now
	}
	s.rows[ordinal], s.at[ordinal] = s.restoreLocked(&a.carriedStat, now)
	s.sampled[ordinal] = true
	if len(a.Models) > 0 {
		for len(s.models) <= int(ordinal) {
			s.models = append(s.models, nil)
		}
		models := make([]modelStat, len(a.Models))
		for n := range models {
			models[n].model = a.Models[n].Model
			models[n].stat, models[n].at = s.restoreLocked(&a.Models[n].carriedStat, now)
		}
		s.models[ordinal] = models
	}
	if !s.known[ordinal] {
		s.known[ordinal] = true
		s.count++
	}
}

func (s *stats) restoreLocked(c *carriedStat, now time.Time) (decide.Stat, time.Duration) {
	row := decide.Stat{
		ErrorRate: c.ErrorRate, TTFT: c.TTFT, ErrorWeight: c.ErrorWeight, TTFTWeight: c.TTFTWeight, HasTTFT: c.HasTTFT,
	}
	return row, min(time.Unix(0, c.At).Sub(s.epoch), now.Sub(s.epoch))
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
		out = append(out, carriedOwner{i.owner.Name, i.owner.Incarnation, i.since.UnixNano(), i.due.IsZero()})
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
