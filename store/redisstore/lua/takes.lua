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
  local id, ttl = ARGV[at], tonumber(ARGV[at + 3])
  local l = {
    i = i, granted = now, expires = now + ttl, handed = 1, index = index, flags = flags, layer = layer, keeper = replica,
    ttl = ttl, request = ARGV[at + 1], tenant = ARGV[at + 5], owner = ARGV[at + 6], incarnation = ARGV[at + 7], rest = ARGV[at + 8],
  }
  local s = record(l)
  local set = redis.pcall('SET', P .. 'l:' .. id, s, 'NX')
  if not set then
    local was = known(id, '-', false)
    if was then return was end
    set = redis.pcall('SET', P .. 'l:' .. id, s) -- over a mark that is over
  end
  if set.err then return { 'fault', set.err } end
  enter(id, l)
end

-- late tells that a take must not be carried out any more.
local function late(at)
  local notAfter = tonumber(ARGV[at + 2])
  return notAfter > 0 and notAfter < now
end

-- Takes the first choice that has room, and binds the session to it. Idempotent by request key and by lease id.
--
-- at +0 lease id        +1 request key or "-"   +2 not after, 0 is never   +3 the lease's life   +4 the tenant's cap, 0 is none
--    +5..8 tenant, owner, incarnation, what else the record keeps
--    +9 choices: the place in base 64 (3) and p for a probe or -, each
--    +10 session key or ""   +11 the binding's life   +12 the kind of the binding: b: or s: for a substitute
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
  local order = ARGV[at + 9]
  for n = 0, #order / 4 - 1 do
    local a, b, c, probe = string.byte(order, n * 4 + 1, n * 4 + 4)
    local i = (a - 48) * 4096 + (b - 48) * 64 + c - 48
    local to = account(i)
    probe = probe == 112
    if room(to) and not (probe and to.probes > 0) then
      local was = grant(at, i, n, probe and 'p' or '-', 0)
      if was then return was end
      bind(ARGV[at + 12], ARGV[at + 10], i, tonumber(ARGV[at + 11]))
      return { 'took', n }
    end
  end
  return known(id, '-', false) or { 'none' }
end

-- Takes the account that the response or the session is bound to. Idempotent by request key and by lease id. An unfit
-- binding has no effect but the fate that it was given.
--
-- at +0..8 as above
--    +9 fates: a character for each place, 48 + response + 4*session + 16*substitute, 0 keep, 1 drop, 2 take, 3 probe
--    +10 the character for a place beyond
--    +11 response key or ""   +12 its life   +13 session key or ""   +14 its life
--    +15 options: d dry run, s spill a full session, r ask no other layer after a response binding
--
-- Answers took, full or none with layer (1 response, 2 session), place, and what was found of the response's binding, of
-- the session's, of the substitute: "" or place, fate and f when full, as "12 2f"; else as above.
local KEEP, DROP, TAKE, PROBE = 0, 1, 2, 3

local function takeBound(at)
  if late(at) then return { 'late' } end
  local id, request, options = ARGV[at], ARGV[at + 1], ARGV[at + 15]
  local dry = has(options, 'd')
  if request ~= '-' then
    local was = known(id, request, not dry)
    if was then return was end
  end
  if capped(ARGV[at + 5], tonumber(ARGV[at + 4])) then return known(id, '-', false) or { 'tenant' } end
  local status, layer, place, was = 'none', 0, 0, nil
  local response, session, substitute = '', '', ''
  local asProbe

  local function fate(i, shift)
    local c = (string.byte(ARGV[at + 9], i + 1) or string.byte(ARGV[at + 10])) - 48
    local f, a = math.floor(c / shift) % 4, account(i)
    asProbe = f == PROBE
    if f >= TAKE and (not a or a.limit == UNLISTED) then return KEEP end
    if asProbe then return a.probes > 0 and KEEP or TAKE end
    return f
  end

  local function take(on, i)
    status, layer, place = 'took', on, i
    if not dry then was = grant(at, i, 0, asProbe and 'p' or '-', on) end
  end

  local function full(on, i)
    status, layer, place = 'full', on, i
    was = known(id, '-', false)
  end

  local function standIn(i)
    if i and room(account(i)) and fate(i, 16) == TAKE then take(2, i) end
  end

  local function rebind(key, i, ttl)
    if not dry and not was then bind('b:', ARGV[at + key], i, tonumber(ARGV[at + ttl])) end
  end

  local ended = false
  local i = bound('b:', ARGV[at + 11])
  if i then
    local f = fate(i, 1)
    response = i .. ' ' .. f
    if f ~= TAKE then
      if f == DROP and not dry then call('DEL', P .. 'b:' .. ARGV[at + 11]) end
      ended = has(options, 'r')
    else
      ended = true
      local free = room(account(i))
      if free then take(1, i) else full(1, i) end
      rebind(13, i, 14)
      if free then rebind(11, i, 12) else response = response .. 'f' end
    end
  end
  if not ended then
    local other = bound('s:', ARGV[at + 13])
    if other then substitute = other .. '' end
    i = bound('b:', ARGV[at + 13])
    if i then
      local f = fate(i, 4)
      session = i .. ' ' .. f
      if f == DROP then
        if not dry then call('DEL', P .. 'b:' .. ARGV[at + 13]) end
      elseif f == KEEP then
        standIn(other)
      elseif room(account(i)) then
        take(2, i)
        rebind(13, i, 14)
      else
        session = session .. 'f'
        if has(options, 's') then standIn(other) else full(2, i) end
      end
    end
  end
  if status == 'none' then was = known(id, '-', false) end
  return was or { status, layer, place, response, session, substitute }
end
