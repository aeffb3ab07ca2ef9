package redisstore

import (
	_ "embed"
	"strings"

	"github.com/redis/rueidis"
)

//go:embed lua/prelude.lua
var prelude string

//go:embed lua/guard.lua
var guard string

//go:embed lua/seen.lua
var seen string

//go:embed lua/lives.lua
var lives string

//go:embed lua/take_bound.lua
var takeBound string

//go:embed lua/take_first.lua
var takeFirst string

//go:embed lua/settle.lua
var settle string

//go:embed lua/renew.lua
var renew string

//go:embed lua/adopt.lua
var adopt string

//go:embed lua/end.lua
var end string

//go:embed lua/leases_of.lua
var leasesOf string

//go:embed lua/sweep.lua
var sweep string

//go:embed lua/join.lua
var join string

//go:embed lua/move.lua
var move string

//go:embed lua/leave.lua
var leave string

//go:embed lua/cool.lua
var cool string

//go:embed lua/warm.lua
var warm string

//go:embed lua/cooling.lua
var cooling string

//go:embed lua/push.lua
var push string

//go:embed lua/pushed.lua
var pushed string

//go:embed lua/register.lua
var register string

//go:embed lua/loads.lua
var loads string

//go:embed lua/names.lua
var names string

//go:embed lua/usage.lua
var usage string

//go:embed lua/secret.lua
var secret string

//go:embed lua/beat.lua
var beat string

// scripts are what the server runs. Each is the prelude, what its body stands on, and the body.
type scripts struct {
	takeBound, takeFirst, settle, renew, adopt, end, leasesOf, sweep *rueidis.Lua
	join, move, leave, cool, warm, cooling, push, pushed             *rueidis.Lua
	register, loads, names, usage, secret, beat                      *rueidis.Lua
}

func newScripts() *scripts {
	bare := func(parts ...string) *rueidis.Lua {
		return rueidis.NewLuaScript(strings.Join(append([]string{prelude}, parts...), "\n"))
	}
	guarded := func(parts ...string) *rueidis.Lua { return bare(append([]string{guard}, parts...)...) }
	return &scripts{
		takeBound: guarded(seen, takeBound), takeFirst: guarded(seen, takeFirst), settle: guarded(settle),
		renew: guarded(lives, renew), adopt: guarded(lives, adopt), end: guarded(end), leasesOf: guarded(leasesOf), sweep: guarded(sweep),
		join: guarded(join), move: guarded(move), leave: guarded(leave), cool: guarded(cool), warm: guarded(warm),
		cooling: guarded(cooling), push: guarded(push), pushed: guarded(pushed),
		register: bare(register), loads: guarded(loads), names: guarded(names), usage: guarded(usage), secret: bare(secret), beat: guarded(beat),
	}
}
