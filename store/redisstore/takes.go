package redisstore

import (
	"context"
	"errors"
	"strconv"
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
	// left is what its Select may still spend.
	left time.Duration
}

func (s *Store) take(grant *core.Grant) take {
	now := s.clock.Now()
	t := take{Store: s, grant: grant, bound: now.Add(s.opts.Budget), left: s.opts.Budget}
	if grant.NotAfter.IsZero() || !grant.NotAfter.Before(t.bound) {
		return t
	}
	t.bound = grant.NotAfter
	if grant.Budgeted {
		if t.left = t.bound.Sub(now); t.left < s.opts.Budget/2 {
			t.extend(now)
		}
	}
	return t
}

// extend gives it the time in which this process stood still since its Select began, unless that is its caller's end.
func (t *take) extend(now time.Time) {
	if t.grant.Budgeted || t.grant.NotAfter.IsZero() || t.grant.NotAfter.After(t.bound) {
		more := t.heldUp(t.opts.Budget - t.bound.Sub(now))
		t.bound, t.left = t.bound.Add(more), t.left+more
	}
}

// options are what a take's head says besides, or - if not.
type options struct{ session, response, dry, spill, alone, loads byte }

// begin writes what both kinds of take begin with: head, and a part of the lease's record.
func (t *take) begin(o *op, letter byte, says options) {
	g := t.grant
	o.take, o.until = true, t.reckoning.until(t.bound)
	b := appendKey(appendMicros(append(o.text, letter), o.until), g.ID)
	b = append(
		b, letterIf(g.InLine, 'l', 'n'), letterIf(g.Request != core.RequestKey{}, 'q', '-'), letterIf(g.Tenant != "", 't', '-'),
		letterIf(g.Owner.Name != "", 'o', '-'), says.session, says.response, says.dry, says.spill, says.alone, says.loads,
	)
	o.text = strconv.AppendInt(b, int64(max(g.TenantCap, 0)), 10)
	o.end()
	o.text = appendBody(o.text, g)
	o.end()
}

// end writes what both kinds of take end with, as the head said.
func (t *take) end(o *op, session, response core.BindingKey) {
	if t.grant.Tenant != "" {
		o.add(t.grant.Tenant)
	}
	if t.grant.Owner.Name != "" {
		o.add(t.grant.Owner.Name)
	}
	for _, key := range [...]core.BindingKey{session, response} {
		if key != (core.BindingKey{}) {
			o.text = appendKey(o.text, key)
			o.end()
		}
	}
}

func letterIf(set bool, letter, other byte) byte {
	if set {
		return letter
	}
	return other
}

// appendBody writes the part of a lease's record that its grant alone says: its request key, how long its names are, and they.
func appendBody(b []byte, g *core.Grant) []byte {
	b = append(appendRequestKey(b, g.Request), ' ')
	b = append(strconv.AppendInt(b, int64(len(g.Tenant)), 10), ' ')
	b = append(strconv.AppendInt(b, int64(len(g.Owner.Name)), 10), ' ')
	b = append(strconv.AppendInt(b, int64(len(g.Owner.Incarnation)), 10), ' ')
	b = append(append(append(b, g.Tenant...), g.Owner.Name...), g.Owner.Incarnation...)
	return appendRest(b, g.Decision, g.Group, g.Model)
}

// do carries the take out; its answer begins with a letter. One whose answer does not come leaves nothing behind.
func (t *take) do(ctx context.Context, build func(*table, *op)) (answer, error) {
	if t.left <= 0 {
		return answer{}, errLate
	}
	for again := true; ; again = false {
		a, err := t.Store.do(ctx, t.left, 1, build)
		if err != nil {
			t.lost.add(lostTake{id: key(t.grant.ID), after: t.bound})
			return a, err
		}
		text := a.texts[0]
		switch {
		case text == "":
			return a, outage(ctx, errStatus)
		case text[0] == '!':
			return a, outage(ctx, errors.New(text[1:]))
		case text[0] != 'l':
			return a, nil
		}
		// Where there is time left here, the server's clock is not where it was thought to be, and that is known now; or this process stood
		// still before it asked.
		now := t.clock.Now()
		if t.extend(now); !again || !now.Before(t.bound) {
			return a, errLate
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
	a, err := t.do(ctx, func(table *table, o *op) {
		says := options{letterIf(asked.Substitute, 's', 'b'), '-', '-', '-', '-', '-'}
		if asked.Session == (core.BindingKey{}) {
			says.session = '-'
		}
		t.begin(o, 'F', says)
		o.lives = [3]time.Duration{asked.Grant.TTL, s.bindsFor(asked.SessionTTL)}
		o.text = appendOrder(o.text, table, asked.Order)
		o.end()
		t.end(o, asked.Session, core.BindingKey{})
	})
	if err != nil {
		return out, err
	}
	switch status, rest := a.texts[0][0], a.texts[0][1:]; status {
	case 't':
		var account string
		if account, err = s.accountOf(ctx, &a, rest); err == nil {
			out.Status, out.Index = core.FirstTook, chosen(a.known, asked.Order, readPlace(rest))
			out.Lease = granted(&asked.Grant, account, a.now)
		}
	case 'a', 'p':
		out.Status = core.FirstRepeated
		var found record
		if found, err = s.found(ctx, &a); err == nil && status == 'a' {
			out.Status, out.Index = core.FirstTook, chosen(a.known, asked.Order, found.place)
		}
		out.Lease = found.lease
	case 'r':
		out.Status = core.FirstReleased
	case 'c':
		out.Status = core.FirstTenantFull
	case 'n':
	default:
		err = outage(ctx, errStatus)
	}
	if out.Status != core.FirstTook {
		a.loads.fill(asked.Ordinals, asked.Loads)
	}
	return out, err
}

var errStatus = errors.New("the script's answer has a status that is not known")

// accountOf gives the account that a take took.
func (s *Store) accountOf(ctx context.Context, a *answer, place string) (string, error) {
	if len(place) != 3 || readPlace(place) < 0 {
		return "", outage(ctx, errRecord)
	}
	return s.accountAt(ctx, a.known, readPlace(place))
}

// appendOrder writes choices as the script takes them. An account without a place cannot be chosen.
func appendOrder(b []byte, t *table, choices []core.Choice) []byte {
	for i := range choices {
		if place := t.place(choices[i].Ordinal); place != nowhere {
			b = append(appendPlace(b, place), letterIf(choices[i].Probe, 'p', '-'))
		}
	}
	return b
}

// chosen gives which of the choices has a place; 0 when none has it, as after another roster.
func chosen(t *table, choices []core.Choice, place int64) int {
	for i := range choices {
		if int64(t.place(choices[i].Ordinal)) == place {
			return i
		}
	}
	return 0
}

// found reads the lease that was granted before, from its id and record.
func (s *Store) found(ctx context.Context, a *answer) (record, error) {
	text := a.texts[0][1:]
	if len(text) < keySize {
		return record{}, outage(ctx, errRecord)
	}
	return s.read(ctx, a.known, text[:keySize], text[keySize:])
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
	if precedesNothing(asked) {
		return out, s.look(ctx, asked)
	}
	t := s.take(&asked.Grant)
	a, err := t.do(ctx, func(table *table, o *op) {
		t.begin(o, 'B', options{
			session: letterIf(asked.Session != core.BindingKey{}, 'b', '-'), response: letterIf(asked.Response != core.BindingKey{}, 'r', '-'),
			dry: letterIf(asked.DryRun, 'd', '-'), spill: letterIf(asked.SpillSession, 's', '-'),
			alone: letterIf(asked.ResponseAlone, 'r', '-'), loads: letterIf(asked.AlwaysLoads, 'a', '-'),
		})
		o.fates = s.fates.of(table, asked)
		o.lives = [3]time.Duration{asked.Grant.TTL, s.bindsFor(asked.SessionTTL), s.bindsFor(asked.ResponseTTL)}
		t.end(o, asked.Session, asked.Response)
	})
	if err != nil {
		return out, err
	}
	b := boundReply{Store: s, answer: &a, asked: asked, out: &out}
	return out, b.read(ctx)
}

// boundReply is a TakeBound's answer on its way to core's types.
type boundReply struct {
	*Store
	*answer
	asked *core.BoundTake
	out   *core.BoundTaken
}

func (b *boundReply) read(ctx context.Context) error {
	switch status := b.texts[0][0]; status {
	case 'a', 'p':
		found, err := b.found(ctx, b.answer)
		if err != nil {
			return err
		}
		b.again(status, &found)
	case 'r':
		b.out.Status = core.BoundReleased
	case 'c':
		b.out.Status = core.BoundTenantFull
	case 'n', 'f', 't':
		if err := b.took(ctx, status, b.texts[0][1:]); err != nil {
			return err
		}
	default:
		return outage(ctx, errStatus)
	}
	if b.out.Status != core.BoundTook || b.asked.AlwaysLoads {
		b.answer.loads.fill(b.asked.Ordinals, b.asked.Loads)
	}
	return nil
}

// again answers with a lease that was there before.
func (b *boundReply) again(status byte, found *record) {
	b.out.Lease = found.lease
	if status == 'p' {
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

// took reads what the bindings led to: layer, place, and what was found of the response's, the session's, the substitute.
func (b *boundReply) took(ctx context.Context, status byte, text string) error {
	if len(text) != 1+3+5+5+3 || text[0] < '0' || int(text[0]-'0') >= len(layers) {
		return outage(ctx, errRecord)
	}
	layer, place := layers[text[0]-'0'], readPlace(text[1:])
	err := b.binding(ctx, text[4:9], decide.LayerResponse, &b.out.Response)
	if err == nil {
		err = b.binding(ctx, text[9:14], decide.LayerSession, &b.out.Session)
	}
	if err == nil {
		b.out.Session.Substitute, err = b.accountAt(ctx, b.known, readPlace(text[14:]))
	}
	if err != nil || status == 'n' {
		return err
	}
	account, err := b.accountAt(ctx, b.known, place)
	if status == 't' {
		b.out.Status, b.out.Layer = core.BoundTook, layer
		b.out.Lease = granted(&b.asked.Grant, account, b.now)
	} else {
		b.out.Status, b.out.Layer = core.BoundFull, layer
		b.out.Lease.Account, b.out.Waiting = account, b.answer.loads.waiting(place)
	}
	return err
}

// binding reads what was found of one: place and fate, and f when it is full. The judge is told of the account, so
// that it can say why.
func (b *boundReply) binding(ctx context.Context, text string, layer decide.Layer, out *core.Binding) (err error) {
	place := readPlace(text)
	if place < 0 {
		return nil
	}
	if out.Account, err = b.accountAt(ctx, b.known, place); err != nil {
		return err
	}
	b.asked.Judge.Judge(layer, out.Account)
	out.Full = text[4] == 'f'
	switch text[3] {
	case '1':
		out.Fate = decide.Drop
	case '2':
		out.Fate = decide.Take
	default:
		out.Fate = decide.Keep
	}
	return nil
}
