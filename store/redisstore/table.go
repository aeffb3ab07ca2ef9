package redisstore

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
	"usher.internal/store/secret"
)

// noEpoch is an epoch that no server has.
const noEpoch = "000000000000000000000000"

// nowhere is no place.
const nowhere = -1

// unlisted is the limit of an account that no roster has named.
const unlisted = 1<<18 - 1

const (
	lifeSize  = 16 // of the epoch, which tells one life of the memory from another
	headSize  = 40 // the epoch and what is added to the server's clock, before the loads
	loadWidth = 10
)

// table says where accounts have their places in the server's memory, in one epoch. It is never changed.
type table struct {
	epoch string
	// places are by ordinal, nowhere for one without an id.
	places []int32
	// ids and ordinals are by place; ids of accounts that other replicas alone know may be blank.
	ids      []string
	ordinals []int32
	// byID has the places of the ids.
	byID map[string]int32
}

// life names the life of the server's memory; blank when no server was met.
func (t *table) life() string {
	if t.epoch == "" || t.epoch == noEpoch {
		return ""
	}
	return t.epoch[:lifeSize]
}

// id gives the account of a place; blank when it is not known here.
func (t *table) id(place int) string {
	if place < 0 || place >= len(t.ids) {
		return ""
	}
	return t.ids[place]
}

// place gives where an ordinal is; nowhere without one.
func (t *table) place(ordinal int32) int32 {
	if ordinal < 0 || int(ordinal) >= len(t.places) {
		return nowhere
	}
	return t.places[ordinal]
}

// named takes down an account's name; the table is not in use yet.
func (t *table) named(place int, id string) {
	for len(t.ids) <= place {
		t.ids, t.ordinals = append(t.ids, ""), append(t.ordinals, nowhere)
	}
	t.ids[place] = id
	if t.byID == nil {
		t.byID = make(map[string]int32)
	}
	t.byID[id] = int32(place)
}

// placeOf gives where an account is; nowhere when that is not known here.
func (t *table) placeOf(id string) int32 {
	if place, ok := t.byID[id]; ok {
		return place
	}
	return nowhere
}

// number64 reads three digits of base 64, from '0'.
func number64(s string) int32 {
	return (int32(s[0])-'0')<<12 + (int32(s[1])-'0')<<6 + int32(s[2]) - '0'
}

// readPlace reads a place that a script wrote; nowhere for ---.
func readPlace(s string) int64 { return max(int64(number64(s)), nowhere) }

// appendPlace writes a place in three digits of base 64, and nowhere as ---.
func appendPlace(b []byte, place int32) []byte {
	if place < 0 {
		return append(b, "---"...)
	}
	return append(b, byte(place>>12&63)+'0', byte(place>>6&63)+'0', byte(place&63)+'0')
}

// Register takes up the roster. It fails, without effect, on an ordinal whose
// id changed and on an id under two ordinals.
func (s *Store) Register(ctx context.Context, roster *core.Roster) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	if err := s.checkRoster(roster); err != nil {
		return err
	}
	kept := core.Roster{Accounts: append([]core.RosterEntry(nil), roster.Accounts...)}
	for len(kept.Accounts) < len(s.roster.Accounts) {
		kept.Accounts = append(kept.Accounts, s.roster.Accounts[len(kept.Accounts)])
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.makeKnown(bounded, &kept, ""); err != nil {
		return outage(ctx, err)
	}
	s.roster = kept
	return nil
}

func (s *Store) checkRoster(roster *core.Roster) error {
	seen := make(map[string]int, len(roster.Accounts))
	for ordinal := range roster.Accounts {
		id := roster.Accounts[ordinal].ID
		if ordinal < len(s.roster.Accounts) {
			if was := s.roster.Accounts[ordinal].ID; was != "" && was != id {
				return &core.Error{Kind: core.KindInternal, Text: fmt.Sprintf("redisstore: ordinal %d changed its account", ordinal)}
			}
		}
		if _, twice := seen[id]; twice && id != "" {
			return &core.Error{Kind: core.KindInternal, Text: fmt.Sprintf("redisstore: account %q has two ordinals", id)}
		}
		seen[id] = ordinal
	}
	for ordinal := range s.roster.Accounts {
		id := s.roster.Accounts[ordinal].ID
		if at, ok := seen[id]; id != "" && ok && at != ordinal {
			return &core.Error{Kind: core.KindInternal, Text: fmt.Sprintf("redisstore: account %q has two ordinals", id)}
		}
	}
	return nil
}

// registerAgain makes the accounts known to a server whose memory is another than the table's. A life of the memory that was told their limits is not
// told them again; a blank one was not.
func (s *Store) registerAgain(ctx context.Context, of *table, told string) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	if s.table.Load() != of {
		return nil
	}
	return s.makeKnown(ctx, &s.roster, told)
}

// registerMost is how many accounts one call makes known.
const registerMost = 256

// makeKnown tells the server the roster, and keeps where the accounts are. registering is held.
func (s *Store) makeKnown(ctx context.Context, roster *core.Roster, told string) error {
	mark := drawName()
	if last := s.registered.Load(); last != nil && told != "" {
		mark = *last // heartbeats are to find out if what it stands for was lost
	}
	for range epochMost {
		next, err := s.register(ctx, roster, mark, told)
		if err != nil {
			return err
		}
		if next == nil {
			continue
		}
		before := s.table.Load()
		if next.epoch == before.epoch {
			// Places stay as they are in an epoch, so what was learned of other replicas' accounts holds.
			for place, id := range before.ids {
				if next.id(place) == "" {
					next.named(place, id)
				}
			}
		}
		s.table.Store(next)
		now := s.clock.Now()
		s.registered.Store(&mark)
		s.listed.Store(&now)
		if before.life() != "" && before.life() != next.life() {
			s.born()
		}
		if next.epoch != before.epoch && s.key != nil {
			// Memory that is new has no key either; the tokens that are out are signed with this one.
			_, err = s.run(ctx, s.scripts.secret, append(s.head(next.epoch), string(s.key)))
		}
		return err
	}
	return errChanging
}

// register tells the server the roster, in steps; nil when its memory changed between two.
func (s *Store) register(ctx context.Context, roster *core.Roster, mark, told string) (*table, error) {
	next := &table{places: make([]int32, len(roster.Accounts))}
	var ordinals []int32
	for i := range next.places {
		next.places[i] = nowhere
		if roster.Accounts[i].ID != "" {
			ordinals = append(ordinals, int32(i))
		}
	}
	for begun := false; !begun || len(ordinals) > 0; begun = true {
		some := ordinals[:min(len(ordinals), registerMost)]
		ordinals = ordinals[len(some):]
		args := append(
			s.head(drawName()+noEpoch[:8]), s.reckoning.micro(s.clock.Now()), life(s.opts.StoreLeaseTTL), mark, next.epoch, told,
			life(time.Duration(s.longest.Load())),
		)
		for _, ordinal := range some {
			entry := &roster.Accounts[ordinal]
			limit := strconv.Itoa(min(max(entry.Limit, 0), unlisted-1))
			if entry.Closed {
				limit = strconv.Itoa(unlisted)
			} else if entry.Left {
				limit = "-"
			}
			args = append(args, entry.ID, limit)
		}
		r, err := s.run(ctx, s.scripts.register, args)
		if err != nil {
			return nil, err
		}
		if r.now == 0 {
			return nil, nil
		}
		if next.epoch = r.text(); len(next.epoch) != len(noEpoch) {
			return nil, errRecord
		}
		for _, ordinal := range some {
			place := r.number()
			if place < 0 && roster.Accounts[ordinal].Left {
				continue
			}
			if place < 0 || place > unlisted {
				r.fail(errRecord)
				break
			}
			next.named(int(place), roster.Accounts[ordinal].ID)
			next.places[ordinal], next.ordinals[place] = int32(place), ordinal
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return next, nil
}

// accountAt gives the account of a place in the epoch of a table, asking the server for one that is not known here.
func (s *Store) accountAt(ctx context.Context, t *table, place int64) (string, error) {
	if place < 0 {
		return "", nil
	}
	if id := t.id(int(place)); id != "" {
		return id, nil
	}
	r, err := s.call(ctx, s.scripts.names, func(_ *table, args []string) []string { return args })
	if err != nil {
		return "", err
	}
	if r.known.life() != t.life() {
		return "", outage(ctx, errChanging) // another has that place now
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	before := s.table.Load()
	next := &table{epoch: r.known.epoch, places: r.known.places}
	next.ids, next.ordinals, next.byID = append(next.ids, r.known.ids...), append(next.ordinals, r.known.ordinals...), maps.Clone(r.known.byID)
	for r.more() {
		if at, id := r.number(), r.text(); at >= 0 && at <= unlisted {
			next.named(int(at), id)
		}
	}
	if err := r.failure(ctx); err != nil {
		return "", err
	}
	if before == r.known {
		s.table.Store(next)
	}
	return next.id(int(place)), nil
}

// Loads fills out; an ordinal that is not known has none.
func (s *Store) Loads(ctx context.Context, ordinals []int32, out []decide.Load) error {
	r, err := s.call(ctx, s.scripts.loads, func(_ *table, args []string) []string { return args })
	if err != nil {
		return err
	}
	of := loads{known: r.known, text: r.text()}
	of.fill(ordinals, out)
	return r.failure(ctx)
}

// Usage counts a tenant's leases and waiters, and all of them.
func (s *Store) Usage(ctx context.Context, tenant string) (core.Usage, error) {
	r, err := s.call(ctx, s.scripts.usage, func(_ *table, args []string) []string { return append(args, tenant) })
	if err != nil {
		return core.Usage{}, err
	}
	u := core.Usage{
		TenantLeases: int(r.number()), TenantWaiting: int(r.number()), Leases: int(r.number()), Waiting: int(r.number()),
		Bindings: core.NotCounted,
	}
	return u, r.failure(ctx)
}

// keyAgain puts the key that tokens are signed with where it was lost.
func (s *Store) keyAgain(ctx context.Context) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	if s.key == nil {
		return nil
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.run(bounded, s.scripts.secret, append(s.head(noEpoch), string(s.key)))
	return err
}

// Secret gives the key that tokens are signed with. One that the server lost is the one that this replica knows again.
func (s *Store) Secret(ctx context.Context) ([]byte, error) {
	s.registering.Lock()
	defer s.registering.Unlock()
	if s.key == nil {
		s.key = secret.Draw()
	}
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	r, err := s.run(bounded, s.scripts.secret, append(s.head(noEpoch), string(s.key)))
	if err != nil {
		return nil, outage(ctx, err)
	}
	key := []byte(r.text())
	if err := r.failure(ctx); err != nil {
		return nil, err
	}
	s.key = key
	return append([]byte(nil), key...), nil
}

// bindsFor takes down how long a binding lives.
func (s *Store) bindsFor(ttl time.Duration) time.Duration {
	for longest := s.longest.Load(); int64(ttl) > longest; longest = s.longest.Load() {
		s.longest.CompareAndSwap(longest, int64(ttl))
	}
	return ttl
}
