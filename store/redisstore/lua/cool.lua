-- Sets a deadline; the later of two stands. ARGV[6] account, [7] model, [8] until, [9] reason, [10] until when it stands.
-- Answers the time, then until, reason and stands of the one that stands, if one does. Idempotent.
local out = { int(now) }
out[2], out[3], out[4] = cool(ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10]))
done()
return out
