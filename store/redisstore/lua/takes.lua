-- Takes, for ops.lua. Each answers a status, then what belongs to it; loads are told by ops.lua at the end.

local function capped(name, cap) return cap > 0 and held(leases(), 't', name) >= cap end

-- known looks a take up that may have been here: by its request id, then by its lease id. handed says that the lease
-- of a request id is given out once more.
local function known(id, request, handed)
  if request ~= '-' then
    local other = call('HGET', P .. 'q', request)
    if other then
      local s = find(other)
      if s and other ~= id then
        if handed then
          local l = read(s)
          l.handed = l.handed + 1
          s = write(other, l)
        end
        return { 'repeated', s, other }
      end
      if s then return { 'again', s, id } end
    elseif released(request) then
      return { 'released' }
    end
  end
  local s, flags = find(id)
  if s then return { 'again', s, id } end
  if flags then return { 'released' } end
end

-- grant makes the lease count on an account that has room, unless the lease id was here before. at is where the
-- arguments of the take begin. Answers nil, or what is known of the id, or that the server has no memory.
local function grant(at, i, index, flags, layer)
  local id, ttl = ARGV[at], ARGV[at + 3]
  local expires = after(ttl)
  local s = i .. ' ' .. flags .. ' ' .. ARGV[at + 7] .. ' ' .. nowText .. ' ' .. expires .. ' 1 ' .. index .. ' ' .. layer ..
    ' ' .. replica .. ' ' .. ttl .. ' ' .. ARGV[at + 8]
  local set = redis.pcall('SET', P .. 'l:' .. id, s, 'NX')
  if not set then
    local was = known(id, '-', false)
    if was then return was end
    set = redis.pcall('SET', P .. 'l:' .. id, s) -- over a mark that is over
  end
  if set.err then return { 'fault', set.err } end
  enter(id, i, flags, ARGV[at + 1], ARGV[at + 5], ARGV[at + 6], expires)
  if ARGV[at + 9] == 'l' then served() end
end

-- late tells that a take must not be carried out any more.
local function late(at)
  local notAfter = tonumber(ARGV[at + 2])
  return untimely or notAfter > 0 and notAfter < now
end

-- Takes the first choice that has room, and binds the session to it. Idempotent by request key and by lease id.
--
-- at +0 lease id        +1 request key or "-"   +2 not after, 0 is never   +3 the lease's life   +4 the tenant's cap, 0 is none
--    +5 tenant   +6 owner   +7 and +8 the record's request key and lengths, and its names   +9 l from the line, n from nobody in it
--    +10 choices: the place in base 64 (3) and p for a probe or -, each
--    +11 session key or ""   +12 the binding's life   +13 the kind of the binding: b: or s: for a substitute
--
-- Answers took n from 0; again or repeated with record and id; released; tenant; late; none; fault text.
local function takeFirst(at)
  if late(at) then return { 'late' } end
  local id, request = ARGV[at], ARGV[at + 1]
  if request ~= '-' then
    local was = known(id, request, true)
    if was then return was end
  end
  local cap = tonumber(ARGV[at + 4])
  if capped(ARGV[at + 5], cap) then return known(id, '-', false) or { 'tenant' } end
  local order, fromLine = ARGV[at + 10], ARGV[at + 9] == 'l'
  for n = 0, #order / 4 - 1 do
    local a, b, c, probe = string.byte(order, n * 4 + 1, n * 4 + 4)
    local i = (a - 48) * 4096 + (b - 48) * 64 + c - 48
    probe = probe == 112
    if free(i, fromLine) and not (probe and account(i).probes > 0) then
      local was = grant(at, i, n, probe and 'p' or '-', 0)
      if was then return was end
      bind(ARGV[at + 13], ARGV[at + 11], i, ARGV[at + 12])
      return { 'took', n }
    end
  end
  return known(id, '-', false) or { 'none' }
end

-- Takes the account that the response or the session is bound to. Idempotent by request key and by lease id. An unfit
-- binding has no effect but the fate that it was given.
--
-- at +0..9 as above
--    +10 fates: a character for each place, 48 + response + 4*session + 16*substitute, 0 keep, 1 drop, 2 take, 3 probe
--    +11 the character for a place beyond
--    +12 response key or ""   +13 its life   +14 session key or ""   +15 its life
--    +16 options: d dry run, s spill a full session, r ask no other layer after a response binding
--
-- Answers took, full or none with layer (1 response, 2 session), place, and what was found of the response's binding, of
-- the session's, of the substitute: "" or place, fate and f when full, as "12 2f"; else as above.
local KEEP, DROP, TAKE, PROBE = 0, 1, 2, 3

-- fate gives what a binding to an account meets, and whether it is taken as a probe.
local function fate(at, i, shift)
  local c = (string.byte(ARGV[at + 10], i + 1) or string.byte(ARGV[at + 11])) - 48
  local f, a = math.floor(c / shift) % 4, account(i)
  if f >= TAKE and (not a or a.limit == UNLISTED) then return KEEP end
  if f ~= PROBE then return f end
  return a.probes > 0 and KEEP or TAKE, true
end

local function rebind(at, key, i) bind('b:', ARGV[at + key], i, ARGV[at + key + 1]) end

-- response follows the response's binding: nil when there is none to follow, and what was found.
local function byResponse(at, i, dry, fromLine)
  local f, probe = fate(at, i, 1)
  local found = i .. ' ' .. f
  if f ~= TAKE then
    if f == DROP and not dry then call('DEL', P .. 'b:' .. ARGV[at + 12]) end
    return nil, found
  end
  if free(i, fromLine) then
    local was = not dry and grant(at, i, 0, probe and 'p' or '-', 1)
    if was then return was end
    if not dry then
      rebind(at, 14, i)
      rebind(at, 12, i)
    end
    return { 'took', 1, i }, found
  end
  local was = known(ARGV[at], '-', false)
  if was then return was end
  -- A full account keeps the conversation: the session follows it, but the response is not used yet.
  if not dry then rebind(at, 14, i) end
  return { 'full', 1, i }, found .. 'f'
end

local function standIn(at, other, dry, fromLine)
  if not other or not free(other, fromLine) then return nil end
  local f, probe = fate(at, other, 16)
  if f ~= TAKE then return nil end
  return not dry and grant(at, other, 0, probe and 'p' or '-', 2) or { 'took', 2, other }
end

-- bySession follows the session's binding and, where that is kept but may not serve now, its substitute.
local function bySession(at, i, other, dry, fromLine, spill)
  local f, probe = fate(at, i, 4)
  local found = i .. ' ' .. f
  if f == DROP then
    if not dry then call('DEL', P .. 'b:' .. ARGV[at + 14]) end
    return nil, found
  elseif f == KEEP then
    return standIn(at, other, dry, fromLine), found
  elseif free(i, fromLine) then
    local was = not dry and grant(at, i, 0, probe and 'p' or '-', 2)
    if was then return was end
    if not dry then rebind(at, 14, i) end
    return { 'took', 2, i }, found
  elseif spill then
    return standIn(at, other, dry, fromLine), found .. 'f'
  end
  return known(ARGV[at], '-', false) or { 'full', 2, i }, found .. 'f'
end

local function takeBound(at)
  if late(at) then return { 'late' } end
  local id, request, options = ARGV[at], ARGV[at + 1], ARGV[at + 16]
  local dry, fromLine = has(options, 'd'), ARGV[at + 9] == 'l'
  if request ~= '-' then
    local was = known(id, request, not dry)
    if was then return was end
  end
  if capped(ARGV[at + 5], tonumber(ARGV[at + 4])) then return known(id, '-', false) or { 'tenant' } end
  local out, response, session, substitute
  local i = bound('b:', ARGV[at + 12])
  if i then out, response = byResponse(at, i, dry, fromLine) end
  if not out and not (response and has(options, 'r')) then
    i = bound('b:', ARGV[at + 14])
    local other = ARGV[at + 14] ~= '' and bound('s:', ARGV[at + 14])
    if other then substitute = other .. '' end
    if i then out, session = bySession(at, i, other, dry, fromLine, has(options, 's')) end
  end
  out = out or known(id, '-', false) or { 'none', 0, 0 }
  if out[1] == 'took' or out[1] == 'full' or out[1] == 'none' then
    out[4], out[5], out[6] = response or '', session or '', substitute or ''
  end
  return out
end
