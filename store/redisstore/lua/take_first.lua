-- Takes the first choice that has room, and binds the session to it. After seen.lua.
--
-- ARGV[9]  the lease's life      ARGV[10] the tenant's cap, 0 is none
-- ARGV[11] choices: the place in base 64 (3) and p for a probe or -, each
-- ARGV[12] session key or ""     ARGV[13] the binding's life      ARGV[14] the kind of the binding: b: or s: for a substitute
-- ARGV[15..18] tenant, owner, incarnation, what else the record keeps
--
-- Answers, with the time: took n from 0; tenant loads; none loads; late; and again, repeated and released with record, id, loads or "".
-- Idempotent by request key and by lease id.
local known = seen(true)
if known then
  known[3], known[4] = known[3] or '', known[4] or ''
  known[5] = known[2] ~= 'again' and view() or ''
  done()
  return known
end
if capped(ARGV[15], tonumber(ARGV[10])) then
  local all = view()
  done()
  return { int(now), 'tenant', all }
end
local order = ARGV[11]
for n = 0, #order / 4 - 1 do
  local a, b, c, probe = string.byte(order, n * 4 + 1, n * 4 + 4)
  local i = (a - 48) * 4096 + (b - 48) * 64 + c - 48
  local to = account(i)
  probe = probe == 112
  if room(to) and not (probe and to.probes > 0) then
    grant(i, n, probe and 'p' or '-', 0, 15)
    bind(ARGV[14], ARGV[12], i, tonumber(ARGV[13]))
    done()
    return { int(now), 'took', n }
  end
end
local all = view()
done()
return { int(now), 'none', all }
