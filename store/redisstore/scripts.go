package redisstore

import (
	"embed"
	"strings"

	"github.com/redis/rueidis"

	"usher.internal/core"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts are what the server runs. Each is the prelude, the library, what its body stands on, and the body.
type scripts struct {
	ops, takeBack, renew, adopt, end, leasesOf, sweep    *rueidis.Lua
	join, move, leave, cool, warm, cooling, push, pushed *rueidis.Lua
	register, loads, names, usage, secret, beat, rebase  *rueidis.Lua
	keeps, share, statusOf, rejoin, answered, hear       *rueidis.Lua
}

func newScripts() (*scripts, error) {
	var fault error
	// To make a function costs by how many variables it uses of the one that makes it and by how many that one has for others
	// to use; those from further out are there for nothing. So each part is a function of the one before it.
	script := func(files ...string) *rueidis.Lua {
		var all strings.Builder
		for i, file := range append([]string{"prelude", "library"}, files...) {
			text, err := luaFiles.ReadFile("lua/" + file + ".lua")
			if err != nil {
				fault = &core.Error{Kind: core.KindInternal, Text: "redisstore: a script is missing", Err: err}
			}
			if i == 1 || i == 2 {
				all.WriteString("return (function()\n")
			}
			all.Write(text)
			all.WriteByte('\n')
		}
		all.WriteString("end)()\nend)()\n")
		return rueidis.NewLuaScript(all.String())
	}
	bare := func(files ...string) *rueidis.Lua { return script(append([]string{"rest"}, files...)...) }
	guarded := func(files ...string) *rueidis.Lua { return bare(append([]string{"guard"}, files...)...) }
	timely := func(files ...string) *rueidis.Lua { return guarded(append([]string{"timely"}, files...)...) }
	return &scripts{
		ops: script("guard", "takes", "settle", "ops"), takeBack: guarded("relief", "take_back"),
		renew: timely("relief", "lives", "renew"), adopt: timely("lives", "adopt"), end: guarded("end"),
		leasesOf: guarded("leases_of"), sweep: timely("relief", "sweep"),
		join: timely("stand", "join"), rejoin: timely("stand", "rejoin"), move: timely("relief", "move"), leave: guarded("leave"),
		cool: timely("cool"), warm: timely("warm"), cooling: guarded("cooling"),
		push: timely("push"), pushed: guarded("pushed"),
		register: bare("recount", "register"), loads: guarded("loads"), names: guarded("names"), usage: guarded("usage"),
		secret: bare("secret"), beat: timely("relief", "beat"), rebase: bare("rebase"),
		keeps: guarded("keeps"), share: timely("share"), statusOf: guarded("status_of"), hear: timely("relief", "hear"),
		answered: guarded("answered"),
	}, fault
}
