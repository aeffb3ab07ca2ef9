-- What scripts are made of, after the prelude.
local accounts, changed = {}, {}
local freed, signals = {}, {}

-- account gives the loads of a place, and below what has room; -1 is no account.
local function account(i)
  if i < 0 then return nil end
  local a = accounts[i]
  if a then return a end
  local from = HEAD + i * WIDTH
  local u1, u2, u3, w1, w2, w3, l1, l2, l3, p = byte(loads, from + 1, from + WIDTH)
  if not p then return nil end
  local limit = (l1 - 48) * 4096 + (l2 - 48) * 64 + l3 - 48
  a = {
    use = (u1 - 48) * 4096 + (u2 - 48) * 64 + u3 - 48, wait = (w1 - 48) * 4096 + (w2 - 48) * 64 + w3 - 48,
    limit = limit, probes = p - 48, below = limit == 0 and NEVER or limit == UNLISTED and 0 or limit,
  }
  accounts[i] = a
  return a
end

-- three writes a number in base 64, in three digits.
local function three(n)
  if n >= 0 and n < 64 then return char(48, 48, n + 48) end
  n = math.min(math.max(n, 0), UNLISTED)
  return char(floor(n / 4096) + 48, floor(n / 64) % 64 + 48, n % 64 + 48)
end

-- A place in a record, a mark or a binding is written so too; that of no account is ---, and reads as less than 0.
local function placed(i) return i < 0 and '---' or three(i) end

local function place(s, from)
  local a, b, c = byte(s, from, from + 2)
  return (a - 48) * 4096 + (b - 48) * 64 + c - 48
end

-- changed has true for an account of which only what is in use changed, and ALL.
local ALL = 1
local function flush()
  for i, what in pairs(changed) do
    local a = accounts[i]
    local s = three(a.use)
    if what == ALL then s = s .. three(a.wait) .. three(a.limit) .. char(math.min(math.max(a.probes, 0), 63) + 48) end
    call('SETRANGE', P .. 'L', HEAD + i * WIDTH .. '', s)
  end
  changed = {}
end

-- view gives the loads as they are after what this script did.
local function view()
  local dirty = next(changed) ~= nil
  flush()
  if dirty then return call('GET', P .. 'L') end
  return loads
end

local function count(i, leases, waiters, probes)
  local a = account(i)
  if not a then return end
  a.use = a.use + leases
  if a.use < 0 then a.use = 0 end
  if waiters ~= 0 or probes ~= 0 then
    a.wait, a.probes = math.max(a.wait + waiters, 0), math.max(a.probes + probes, 0)
    changed[i] = ALL
  elseif not changed[i] then
    changed[i] = true
  end
end

-- A slot that came free while somebody waits is, for HANDOVER, the turn of one replica: of those where somebody waits, the one
-- that was served longest ago. Newcomers and the others find no room in it so long, which is core.Handover.
local HANDOVER = 10000
local waiters, turn
local function someoneWaits()
  if not waiters then waiters = call('HLEN', P .. 'w') end
  return waiters > 0
end

local function free(i, fromLine)
  local a = accounts[i] or account(i)
  if not a or a.use >= a.below then return false end
  if waiters == 0 or not someoneWaits() then return true end
  if not freed[i] then -- by this script
    local since = call('HGET', P .. 'F', i)
    if not since or now - since >= HANDOVER then return true end
  end
  if not fromLine then return false end
  turn = turn or call('ZRANGE', P .. 'T', 0, 0)[1] or replica
  return turn == replica
end

local chain = sub(loads, EPOCH - 7, EPOCH)

local function has(flags, flag) return find(flags, flag, 1, true) ~= nil end

-- after gives the text of the time that comes so many microseconds from now; life is a text too.
local afters = {}
local function after(life)
  local s = afters[life]
  if not s then
    s = time(now + tonumber(life))
    afters[life] = s
  end
  return s
end

-- A lease's record: place, layer, and granted, expires, life and the replica that looks after it, 16 each; then flags, how often
-- handed out, request key or - and the lengths of its names, with blanks between; then tenant, owner, incarnation and what no
-- script reads.
-- Flags: - none, f first token, s switched, m a first-token time counted, p it is its account's probe.
local FIXED = 68

-- plain tells that a record has no flags, no request, no tenant and no owner, and was handed out once.
local PLAIN = ' - 1 - 0 0 0 '
local function plain(s) return sub(s, FIXED + 1, FIXED + 13) == PLAIN end

local markEnds = time(now + markTTL)

-- A mark takes the place of the lease's record: !, its flags and how it ended, why, the account, and when it is over.
-- vacate gives the slot back and leaves one. how: d it was released, x it ended by itself, w it was handed out to nobody.
-- What frees comes first: a server out of memory lets a script go on that has begun to write.
local function vacate(id, i, at, flags, how, why)
  call('ZREM', P .. 'x', id)
  count(i, -1, 0, flags ~= '-' and has(flags, 'p') and -1 or 0)
  call('PSETEX', P .. 'l:' .. id, markLife, '!' .. flags .. how .. ' ' .. why .. ' ' .. at .. ' ' .. markEnds)
  freed[i] = how == 'x' and 'e' or 'f'
end

-- lease gives the record of a lease that lives, or else what its mark tells: flags, why, account.
local function lease(id)
  local s = call('GET', P .. 'l:' .. id)
  if not s then return nil end
  if byte(s) ~= 33 then return s end
  local flags, why, at, ends = match(s, '^!(%S+) (%d+) (%S+) (%d+)$')
  if ends > nowText then return nil, flags, why, at end
end

-- A binding, or a substitute: when it ends and the account's place. at is the place as it is written, ttl a text.
local lives = {}
local EDGE = nowText .. 'p' -- what is over now is less, and all that goes on more
local function bind(key, at, ttl)
  if ttl == '0' then return end
  local life = lives[ttl]
  if not life then
    life = int(math.ceil(tonumber(ttl) / 1000))
    lives[ttl] = life
  end
  call('PSETEX', key, life, after(ttl) .. at)
end

-- bound gives the place as it is written.
local function bound(key)
  local s = call('GET', key)
  if s and s > EDGE then return sub(s, 17) end
end

-- rare makes the functions that most calls need none of: to make one costs about as much as a command.
local made
local function rare()
  if made then return made end
  -- served takes down that the caller's line got a slot.
  local function served()
    call('ZADD', P .. 'T', 'XX', nowText, replica)
    turn = nil
  end

  -- vacant gives the place of an account that no roster has listed for so long that nothing of it can be left.
  local function vacant()
    local before = now - DISUSE - (tonumber(call('HGET', P .. 'at', 'longest')) or 0)
    for _, i in ipairs(call('ZRANGEBYSCORE', P .. 'k', '-inf', int(before), 'LIMIT', 0, STEP)) do
      local a = account(tonumber(i))
      if a and a.use == 0 and a.wait == 0 and a.probes == 0 then return tonumber(i) end
    end
  end

  -- named gives the place of an account, which is made known if need be: then it has no slots until a roster lists it. And whether
  -- it was made known. It has another's place only when reuse says so: when its caller knows nobody in that.
  local function named(id, reuse)
    local i = call('HGET', P .. 'A', id)
    if i then return tonumber(i), false end
    i = reuse and vacant()
    if i then
      call('HDEL', P .. 'A', call('HGET', P .. 'N', i))
      call('HDEL', P .. 'F', i)
      changed[i] = ALL
    else
      i = call('HLEN', P .. 'A')
      call('APPEND', P .. 'L', '000000' .. three(UNLISTED) .. '0')
    end
    call('HSET', P .. 'A', id, i)
    call('HSET', P .. 'N', i, id)
    call('ZADD', P .. 'k', nowText, i)
    -- Places are worth nothing to who knows other accounts in them, as after a failover that lost some.
    chain = string.sub(redis.sha1hex(chain .. id), 1, 8)
    call('SETRANGE', P .. 'L', EPOCH - 8, chain)
    accounts[i] = { use = 0, wait = 0, limit = UNLISTED, probes = 0, below = 0 }
    return i, true
  end

  local function tenant(key, name, by)
    if name ~= '' and call('HINCRBY', P .. key, name, by) <= 0 then call('HDEL', P .. key, name) end
  end

  -- held counts what a tenant has of all; what nobody else has is the nameless tenant's.
  local function held(all, key, name)
    if name ~= '' then return tonumber(call('HGET', P .. key, name) or 0) end
    for _, v in ipairs(call('HVALS', P .. key)) do all = all - v end
    return all
  end

  local function leases() return call('ZCARD', P .. 'x') - call('HLEN', P .. 'w') end

  local function read(s)
    local flags, handed, request, t, o, n, from = match(s, '^ (%S+) (%d+) (%S+) (%d+) (%d+) (%d+) ()', FIXED + 1)
    t, o, n = tonumber(t), tonumber(o), tonumber(n)
    return {
      i = place(s, 1), at = sub(s, 1, 3), layer = sub(s, 4, 4), granted = sub(s, 5, 20), expires = sub(s, 21, 36),
      ttl = tonumber(sub(s, 37, 52)), keeper = sub(s, 53, 68), flags = flags, handed = tonumber(handed), request = request,
      tenant = sub(s, from, from + t - 1), owner = sub(s, from + t, from + t + o - 1),
      incarnation = sub(s, from + t + o, from + t + o + n - 1), rest = sub(s, from + t + o + n),
    }
  end

  -- brief reads what the end of a lease needs.
  local function brief(s)
    local flags, request, t, o, from = match(s, '^ (%S+) %d+ (%S+) (%d+) (%d+) %d+ ()', FIXED + 1)
    local name, owner = '', ''
    if t ~= '0' then name = sub(s, from, from + t - 1) end
    if o ~= '0' then owner = sub(s, from + t, from + t + o - 1) end
    return { i = place(s, 1), at = sub(s, 1, 3), flags = flags, request = request, tenant = name, owner = owner }
  end

  local function write(id, l)
    local s = table.concat({ l.at, l.layer, l.granted, l.expires, time(l.ttl), l.keeper, ' ', l.flags, ' ', l.handed, ' ', l.request, ' ',
      #l.tenant, ' ', #l.owner, ' ', #l.incarnation, ' ', l.tenant, l.owner, l.incarnation, l.rest })
    call('SET', P .. 'l:' .. id, s)
    return s
  end

  -- enter makes a lease count whose record and end are written.
  local function enter(id, i, flags, request, name, owner)
    if request ~= '-' then call('HSET', P .. 'q', request, id) end
    if owner ~= '' then call('SADD', P .. 'o:' .. owner, id) end
    tenant('t', name, 1)
    count(i, 1, 0, has(flags, 'p') and 1 or 0)
  end

  -- finish ends a lease.
  local function finish(id, l, how, why)
    vacate(id, l.i, l.at, l.flags, how, why)
    if l.tenant ~= '' then tenant('t', l.tenant, -1) end
    if l.owner ~= '' then call('SREM', P .. 'o:' .. l.owner, id) end
    if l.request ~= '-' then
      if call('HGET', P .. 'q', l.request) == id then call('HDEL', P .. 'q', l.request) end
      if how == 'd' then call('PSETEX', P .. 'n:' .. l.request, markLife, l.at .. ' ' .. markEnds) end
    end
  end

  -- released gives the account of a released request id; nil when it is not known.
  local function released(key)
    local s = call('GET', P .. 'n:' .. key)
    if s and sub(s, 5) > nowText then return sub(s, 1, 3) end
  end

  local function leave(id)
    local s = call('HGET', P .. 'w', id)
    call('ZREM', P .. 'x', '!' .. id)
    if not s then return end
    call('HDEL', P .. 'w', id)
    waiters = nil
    local i, keeper, t = string.match(s, '^(%-?%d+) (%S+) (.*)$')
    count(tonumber(i), 0, -1, 0)
    tenant('tw', t, -1)
    if call('HINCRBY', P .. 'wr', keeper, -1) <= 0 then
      call('HDEL', P .. 'wr', keeper)
      call('ZREM', P .. 'T', keeper)
    end
  end

  -- expire ends a lease by itself, for a sweep to tell of.
  local function expire(id, s, l, why)
    finish(id, l, 'x', why)
    if call('RPUSH', P .. 'e', id .. ' ' .. s) > TOLD then call('LPOP', P .. 'e') end
  end

  -- cool sets a deadline, which stands for longer than it lasts unless there are very many; the later of two stands.
  local function cool(id, model, ends, reason, stands)
    local field = #id .. ':' .. id .. model
    local s = call('HGET', P .. 'c', field)
    if s then
      local e, r, t = match(s, '^(%d+) (%d+) (%d+)$')
      if t and tonumber(t) > now and (ends <= tonumber(e) or stands <= now) then return e, r, t end
    elseif call('HLEN', P .. 'c') >= KEPT then
      stands = ends
    end
    if stands <= now then return nil end
    call('HSET', P .. 'c', field, int(ends) .. ' ' .. reason .. ' ' .. int(stands))
    signals['c' .. id] = true
    return int(ends), reason, int(stands)
  end

  made = {
    served = served, named = named, tenant = tenant, held = held, leases = leases, read = read, brief = brief, write = write,
    enter = enter, finish = finish, released = released, leave = leave, expire = expire, cool = cool,
  }
  return made
end

-- due ends what is over, in steps that do not hold the server for long.
local function due(most)
  local ids = call('ZRANGEBYSCORE', P .. 'x', '-inf', nowText, 'LIMIT', 0, most)
  if #ids == 0 then return end
  local r = rare()
  for _, id in ipairs(ids) do
    if string.sub(id, 1, 1) == '!' then
      r.leave(string.sub(id, 2))
    else
      local s = lease(id)
      if s then r.expire(id, s, r.brief(s), 1) else call('ZREM', P .. 'x', id) end
    end
  end
end

-- done writes what changed and tells who waits.
local function done()
  flush()
  -- First what keeps accounts away: who is woken by a slot that came free with that must know.
  for s, _ in pairs(signals) do call(ARGV[4], P .. 'wake', s) end
  if next(freed) and someoneWaits() then
    for i, how in pairs(freed) do
      call('HSET', P .. 'F', i, nowText)
      call(ARGV[4], P .. 'wake', how .. i)
    end
  end
end
