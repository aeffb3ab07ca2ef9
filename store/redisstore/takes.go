package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"usher.internal/core"
	"usher.internal/core/decide"
)

// take is what both kinds of take have in common.
type take struct {
	*Store
	grant *core.Grant
	// bound is until when the server may carry it out, on this machine's clock.
	bound time.Time
}

func (s *Store) take(grant *core.Grant) take {
	t := take{Store: s, grant: grant, bound: s.clock.Now().Add(s.opts.Budget)}
	if !grant.NotAfter.IsZero() && grant.NotAfter.Before(t.bound) {
		t.bound = grant.NotAfter
	}
	return t
}

// head appends the kind, and what both kinds of take begin with.
func (t *take) head(kind string, args []string) []string {
	g := t.grant
	return append(
		args, kind, key(g.ID), requestKey(g.Request), t.reckoning.micro(t.bound),
		life(g.TTL), strconv.Itoa(max(g.TenantCap, 0)), g.Tenant, g.Owner.Name,
		lengths(g), g.Tenant+g.Owner.Name+g.Owner.Incarnation+rest(g.Decision, g.Group, g.Model), asker(g),
	)
}

// lengths gives the part of a lease's record that says how long its names are.
func lengths(g *core.Grant) string {
	b := make([]byte, 0, 48)
	b = append(append(b, requestKey(g.Request)...), ' ')
	b = append(strconv.AppendInt(b, int64(len(g.Tenant)), 10), ' ')
	b = append(strconv.AppendInt(b, int64(len(g.Owner.Name)), 10), ' ')
	return string(strconv.AppendInt(b, int64(len(g.Owner.Incarnation)), 10))
}

func asker(g *core.Grant) string {
	if g.InLine {
		return "l"
	}
	return "n"
}

// do carries the take out. One whose answer does not come leaves nothing behind.
func (t *take) do(ctx context.Context, loads bool, build func(*table, []string) []string) (*reply, error) {
	for again := true; ; again = false {
		replies, err := t.Store.do(ctx, 1, loads, func(t *table, _ int, args []string) []string { return build(t, args) })
		if err != nil {
			t.lost.add(lostTake{id: key(t.grant.ID), after: t.bound})
			return nil, err
		}
		r := replies[0]
		switch status, _ := r.rows[0].ToString(); status {
		case "fault":
			r.at = 1
			return nil, outage(ctx, errors.New(r.text()))
		case "late":
		default:
			return r, nil
		}
		// Where there is time left here, the server's clock is not where it was thought to be, and that is known now.
		if !again || !t.clock.Now().Before(t.bound) {
			return nil, errLate
		}
	}
}

// TakeFirst takes the first choice that has room.
func (s *Store) TakeFirst(ctx context.Context, asked *core.FirstTake) (core.FirstTaken, error) {
	var out core.FirstTaken
	if err := ctx.Err(); err != nil {
		return out, err
	}
	t := s.take(&asked.Grant)
	r, err := t.do(ctx, len(asked.Ordinals) > 0, func(table *table, args []string) []string {
		kind := "b:"
		if asked.Substitute {
			kind = "s:"
		}
		return append(t.head("F", args), order(table, asked.Order), keyOrNone(asked.Session), life(asked.SessionTTL), kind)
	})
	if err != nil {
		return out, err
	}
	switch status := r.text(); status {
	case "took":
		out.Status, out.Index = core.FirstTook, int(r.number())
		if choice := nth(r.known, asked.Order, out.Index); choice >= 0 {
			out.Index = choice
			out.Lease = granted(&asked.Grant, r.known.id(int(r.known.place(asked.Order[choice].Ordinal))), r.now)
		}
	case "again", "repeated":
		out.Status = core.FirstRepeated
		var found record
		if found, err = s.found(ctx, r); err == nil && status == "again" {
			out.Status, out.Index = core.FirstTook, found.index
		}
		out.Lease = found.lease
	case "released":
		out.Status = core.FirstReleased
	case "tenant":
		out.Status = core.FirstTenantFull
	case "none":
	default:
		r.fail(errStatus)
	}
	if err == nil {
		err = r.failure(ctx)
	}
	if out.Status != core.FirstTook {
		r.known.fill(r.loads, asked.Ordinals, asked.Loads)
	}
	return out, err
}

var errStatus = errors.New("the script's answer has a status that is not known")

// order writes choices as the script takes them. An account without a place cannot be chosen.
func order(t *table, choices []core.Choice) string {
	b := make([]byte, 0, 4*len(choices))
	for i := range choices {
		place := t.place(choices[i].Ordinal)
		if place == nowhere {
			continue
		}
		b = appendPlace(b, place)
		if choices[i].Probe {
			b = append(b, 'p')
		} else {
			b = append(b, '-')
		}
	}
	return string(b)
}

// nth gives which of the choices was number n of those that have a place.
func nth(t *table, choices []core.Choice, n int) int {
	for i := range choices {
		if t.place(choices[i].Ordinal) == nowhere {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	return -1
}

// found reads the lease that was granted before, from record and id.
func (s *Store) found(ctx context.Context, r *reply) (record, error) {
	text := r.text()
	return s.read(ctx, r.known, r.text(), text)
}

// read reads a record with its account.
func (s *Store) read(ctx context.Context, t *table, id, text string) (record, error) {
	found, err := readRecord(id, text)
	if err != nil {
		return found, outage(ctx, err)
	}
	found.lease.Elsewhere = found.keeper != s.replica
	found.lease.Account, err = s.accountAt(ctx, t, found.place)
	return found, err
}

// TakeBound takes the account that the response or the session is bound to.
func (s *Store) TakeBound(ctx context.Context, asked *core.BoundTake) (core.BoundTaken, error) {
	var out core.BoundTaken
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if s.cached(asked) {
		return out, nil
	}
	t := s.take(&asked.Grant)
	r, err := t.do(ctx, true, func(table *table, args []string) []string {
		known, others := s.fates.of(table, asked)
		return append(
			t.head("B", args), known, others, keyOrNone(asked.Response), life(asked.ResponseTTL),
			keyOrNone(asked.Session), life(asked.SessionTTL), options(asked),
		)
	})
	if err != nil {
		return out, err
	}
	b := boundReply{Store: s, reply: r, asked: asked, out: &out}
	if err := b.read(ctx); err != nil {
		return out, err
	}
	return out, r.failure(ctx)
}

func options(asked *core.BoundTake) string {
	var b strings.Builder
	for _, o := range [...]struct {
		set bool
		as  byte
	}{{asked.DryRun, 'd'}, {asked.SpillSession, 's'}, {asked.ResponseAlone, 'r'}} {
		if o.set {
			b.WriteByte(o.as)
		}
	}
	return b.String()
}

// boundReply is a TakeBound's answer on its way to core's types.
type boundReply struct {
	*Store
	*reply
	asked *core.BoundTake
	out   *core.BoundTaken
}

func (b *boundReply) read(ctx context.Context) error {
	switch status := b.text(); status {
	case "again", "repeated":
		found, err := b.found(ctx, b.reply)
		if err != nil {
			return err
		}
		b.again(status, &found)
	case "released":
		b.out.Status = core.BoundReleased
	case "tenant":
		b.out.Status = core.BoundTenantFull
	case "none", "full", "took":
		if err := b.took(ctx, status); err != nil {
			return err
		}
	default:
		b.fail(errStatus)
	}
	if b.out.Status != core.BoundTook || b.asked.AlwaysLoads {
		b.known.fill(b.loads, b.asked.Ordinals, b.asked.Loads)
	}
	return nil
}

// again answers with a lease that was there before.
func (b *boundReply) again(status string, found *record) {
	b.out.Lease = found.lease
	if status == "repeated" {
		b.out.Status = core.BoundRepeated
		return
	}
	b.out.Status, b.out.Layer = core.BoundTook, found.layer
	binding := &b.out.Session
	if found.layer == decide.LayerResponse {
		binding = &b.out.Response
	}
	binding.Account, binding.Fate = found.lease.Account, decide.Take
}

// took reads what the bindings led to.
func (b *boundReply) took(ctx context.Context, status string) error {
	layer, place := b.number(), b.number()
	response, session, substitute := b.text(), b.text(), b.text()
	var account string
	for _, step := range []func() error{
		func() error { return b.binding(ctx, response, decide.LayerResponse, &b.out.Response) },
		func() error { return b.binding(ctx, session, decide.LayerSession, &b.out.Session) },
		func() (err error) {
			b.out.Session.Substitute, err = b.account(ctx, substitute)
			return err
		},
		func() (err error) {
			if layer != 0 {
				account, err = b.accountAt(ctx, b.known, place)
			}
			return err
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	switch status {
	case "took":
		b.out.Status, b.out.Layer = core.BoundTook, layers[layer]
		b.out.Lease = granted(&b.asked.Grant, account, b.now)
	case "full":
		b.out.Status, b.out.Layer = core.BoundFull, layers[layer]
		b.out.Lease.Account, b.out.Waiting = account, b.known.waiting(b.reply.loads, place)
	}
	return nil
}

// binding reads what was found of one: place and fate, and f when it is full. The judge is told of the account, so
// that it can say why.
func (b *boundReply) binding(ctx context.Context, text string, layer decide.Layer, out *core.Binding) (err error) {
	if text == "" {
		return nil
	}
	text, out.Full = strings.CutSuffix(text, "f")
	place, fate, ok := strings.Cut(text, " ")
	if !ok {
		return outage(ctx, errRecord)
	}
	if out.Account, err = b.account(ctx, place); err != nil {
		return err
	}
	b.asked.Judge.Judge(layer, out.Account)
	switch fate {
	case "1":
		out.Fate = decide.Drop
	case "2":
		out.Fate = decide.Take
	default:
		out.Fate = decide.Keep
	}
	return nil
}

func (b *boundReply) account(ctx context.Context, place string) (string, error) {
	if place == "" {
		return "", nil
	}
	n, err := strconv.ParseInt(place, 10, 32)
	if err != nil {
		return "", outage(ctx, err)
	}
	return b.accountAt(ctx, b.known, n)
}
