-- Shared by every script and put before it.
--
-- KEYS[1]  the namespace's prefix, "usher:{name}:"; every other key is made of it, so that all lie in one hash slot
-- ARGV[1]  until when and from when the call is in time, 16 digits each; in tests also what the server's clock shows
-- ARGV[2]  the epoch that the caller knows, 24 characters
-- ARGV[3]  the caller's replica
-- ARGV[4]  PUBLISH or SPUBLISH
-- ARGV[5]  the life of marks in microseconds
--
-- All times are microseconds on the namespace's clock: the server's, and what that has jumped by. A script that answers
-- {'epoch', e} changed nothing, nor did one that answers {time, 'late'}.
local P = KEYS[1]
local call = redis.call

-- The loads of all accounts lie in one string, so that reading them costs one call however many there are: the epoch
-- (16, and 8 of all accounts that have places), what is added to the server's clock (16), then for each account in use (3),
-- waiting (3), limit (3) and probes (1), in base 64 from '0'.
local EPOCH, HEAD, WIDTH, UNLISTED = 24, 40, 10, 262143
local STEP = 64 -- of what is over, ended by one call
local APART = 5000000 -- by which clocks part that have jumped
local loads = call('GET', P .. 'L') or ''

local added = tonumber(string.sub(loads, EPOCH + 1, HEAD)) or 0
local now
if #ARGV[1] > 32 then
  now = tonumber(string.sub(ARGV[1], 33)) + added
else
  local t = call('TIME')
  now = t[1] * 1000000 + t[2] + added
end
-- Out of time is a call that comes after its caller gave up, and one whose caller's clock and this one have parted.
local untimely = now > tonumber(string.sub(ARGV[1], 1, 16)) or now < tonumber(string.sub(ARGV[1], 17, 32))
local replica, markTTL = ARGV[3], tonumber(ARGV[5])

local function int(x) return string.format('%.0f', x) end
local nowText = int(now)

local accounts, changed = {}, {}
local freed, signals = {}, {}

-- account gives the loads of a place; -1 is no account.
local function account(i)
  if i < 0 then return nil end
  local a = accounts[i]
  if a then return a end
  local from = HEAD + i * WIDTH
  local u1, u2, u3, w1, w2, w3, l1, l2, l3, p = string.byte(loads, from + 1, from + WIDTH)
  if not p then return nil end
  a = {
    use = (u1 - 48) * 4096 + (u2 - 48) * 64 + u3 - 48, wait = (w1 - 48) * 4096 + (w2 - 48) * 64 + w3 - 48,
    limit = (l1 - 48) * 4096 + (l2 - 48) * 64 + l3 - 48, probes = p - 48,
  }
  accounts[i] = a
  return a
end

local function three(n)
  n = math.min(math.max(n, 0), UNLISTED)
  local low, mid = n % 64, math.floor(n / 64) % 64
  return string.char(math.floor(n / 4096) + 48, mid + 48, low + 48)
end

local function flush()
  for i, _ in pairs(changed) do
    local a = accounts[i]
    call('SETRANGE', P .. 'L', HEAD + i * WIDTH,
      three(a.use) .. three(a.wait) .. three(a.limit) .. string.char(math.min(math.max(a.probes, 0), 63) + 48))
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
  a.use, a.wait, a.probes = math.max(a.use + leases, 0), math.max(a.wait + waiters, 0), math.max(a.probes + probes, 0)
  changed[i] = true
end

local function room(a) return a and a.limit ~= UNLISTED and (a.limit == 0 or a.use < a.limit) end

-- A slot that came free while somebody waits is, for HANDOVER, the turn of one replica: of those where somebody waits, the one
-- that was served longest ago. Newcomers and the others find no room in it so long.
local HANDOVER = 10000
local waiters, turn
local function someoneWaits()
  if not waiters then waiters = call('HLEN', P .. 'w') end
  return waiters > 0
end

local function free(i, fromLine)
  if not room(account(i)) then return false end
  if not someoneWaits() then return true end
  local since = call('HGET', P .. 'F', i)
  if not since or now - since >= HANDOVER then return true end
  if not fromLine then return false end
  turn = turn or call('ZRANGE', P .. 'T', 0, 0)[1] or replica
  return turn == replica
end

-- served takes down that the caller's line got a slot.
local function served()
  call('ZADD', P .. 'T', 'XX', nowText, replica)
  turn = nil
end

local chain = string.sub(loads, EPOCH - 7, EPOCH)
-- named gives the place of an account, which is made known if need be: then it has no slots until a roster lists it.
local function named(id)
  local i = call('HGET', P .. 'A', id)
  if i then return tonumber(i) end
  i = call('HLEN', P .. 'A')
  call('HSET', P .. 'A', id, i)
  call('HSET', P .. 'N', i, id)
  -- Places are worth nothing to who knows other accounts in them, as after a failover that lost some.
  chain = string.sub(redis.sha1hex(chain .. id), 1, 8)
  call('SETRANGE', P .. 'L', EPOCH - 8, chain)
  call('APPEND', P .. 'L', '000000' .. three(UNLISTED) .. '0')
  accounts[i] = { use = 0, wait = 0, limit = UNLISTED, probes = 0 }
  changed[i] = true
  return i
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

local function has(flags, flag) return string.find(flags, flag, 1, true) ~= nil end

-- after gives the text of the time that comes so many microseconds from now; life is a text too.
local afters = {}
local function after(life)
  local s = afters[life]
  if not s then
    s = int(now + tonumber(life))
    afters[life] = s
  end
  return s
end

-- A lease's record: place, flags, request key or -, the lengths of its names, granted, expires, how often handed out, index in
-- the choice, layer, replica that looks after it, life; then tenant, owner, incarnation and what no script reads.
-- Flags: - none, f first token, s switched, m a first-token time counted, p it is its account's probe.
local RECORD = '^(%d+) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%d+) (%S+) (%d+) ()'
local function read(s)
  local i, flags, request, t, o, n, granted, expires, handed, index, layer, keeper, ttl, from = string.match(s, RECORD)
  t, o, n = tonumber(t), tonumber(o), tonumber(n)
  return {
    i = tonumber(i), flags = flags, request = request, granted = granted, expires = expires, handed = tonumber(handed),
    index = index, layer = layer, keeper = keeper, ttl = tonumber(ttl),
    tenant = string.sub(s, from, from + t - 1), owner = string.sub(s, from + t, from + t + o - 1),
    incarnation = string.sub(s, from + t + o, from + t + o + n - 1), rest = string.sub(s, from + t + o + n),
  }
end

-- brief reads what the end of a lease needs.
local BRIEF = '^(%d+) (%S+) (%S+) (%d+) (%d+) %d+ %d+ %d+ %d+ %S+ %d+ %S+ %d+ ()'
local function brief(s)
  local i, flags, request, t, o, from = string.match(s, BRIEF)
  local name, owner = '', ''
  if t ~= '0' then name = string.sub(s, from, from + t - 1) end
  if o ~= '0' then owner = string.sub(s, from + t, from + t + o - 1) end
  return { i = tonumber(i), flags = flags, request = request, tenant = name, owner = owner }
end

local function write(id, l)
  local s = table.concat({ l.i, l.flags, l.request, #l.tenant, #l.owner, #l.incarnation, l.granted, l.expires, l.handed, l.index,
    l.layer, l.keeper, int(l.ttl), l.tenant }, ' ') .. l.owner .. l.incarnation .. l.rest
  call('SET', P .. 'l:' .. id, s)
  return s
end

-- enter makes a lease count whose record is written.
local function enter(id, i, flags, request, name, owner, expires)
  call('ZADD', P .. 'x', expires, id)
  if request ~= '-' then call('HSET', P .. 'q', request, id) end
  if owner ~= '' then call('SADD', P .. 'o:' .. owner, id) end
  tenant('t', name, 1)
  count(i, 1, 0, has(flags, 'p') and 1 or 0)
end

local markLife = math.ceil(markTTL / 1000)
local markEnds = after(ARGV[5])

-- A mark takes the place of the lease's record: !, its flags and how it ended, why, the account, and when it is over.
-- finish gives the slot back and leaves one. how: d it was released, x it ended by itself, w it was handed out to nobody.
-- What frees comes first: a server out of memory lets a script go on that has begun to write.
local function finish(id, l, how, why)
  call('ZREM', P .. 'x', id)
  count(l.i, -1, 0, has(l.flags, 'p') and -1 or 0)
  call('SET', P .. 'l:' .. id, '!' .. l.flags .. how .. ' ' .. why .. ' ' .. l.i .. ' ' .. markEnds, 'PX', markLife)
  tenant('t', l.tenant, -1)
  if l.owner ~= '' then call('SREM', P .. 'o:' .. l.owner, id) end
  if l.request ~= '-' then
    if call('HGET', P .. 'q', l.request) == id then call('HDEL', P .. 'q', l.request) end
    if how == 'd' then call('SET', P .. 'n:' .. l.request, l.i .. ' ' .. markEnds, 'PX', markLife) end
  end
  freed[l.i] = how == 'x' and 'e' or 'f'
end

-- find gives the record of a lease that lives, or else what its mark tells: flags, why, account.
local function find(id)
  local s = call('GET', P .. 'l:' .. id)
  if not s then return nil end
  if string.byte(s) ~= 33 then return s end
  local flags, why, i, ends = string.match(s, '^!(%S+) (%d+) (%-?%d+) (%d+)$')
  if tonumber(ends) > now then return nil, flags, why, i end
end

-- released gives the account of a released request id; nil when it is not known.
local function released(key)
  local s = call('GET', P .. 'n:' .. key)
  if not s then return nil end
  local i, ends = string.match(s, '^(%-?%d+) (%d+)$')
  if tonumber(ends) > now then return i end
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

local TOLD = 65536
-- expire ends a lease by itself, for a sweep to tell of.
local function expire(id, s, l, why)
  finish(id, l, 'x', why)
  if call('RPUSH', P .. 'e', id .. ' ' .. s) > TOLD then call('LPOP', P .. 'e') end
end

-- due ends what is over, in steps that do not hold the server for long.
local function due(most)
  local ids = call('ZRANGEBYSCORE', P .. 'x', '-inf', int(now), 'LIMIT', 0, most)
  for _, id in ipairs(ids) do
    if string.sub(id, 1, 1) == '!' then
      leave(string.sub(id, 2))
    else
      local s = find(id)
      if s then expire(id, s, brief(s), 1) else call('ZREM', P .. 'x', id) end
    end
  end
  return #ids
end

-- A binding, or a substitute: the account's place and when it ends. ttl is a text.
local function bind(kind, key, i, ttl)
  if key == '' or ttl == '0' then return end
  call('SET', P .. kind .. key, i .. ' ' .. after(ttl), 'PX', math.ceil(tonumber(ttl) / 1000))
end

local function bound(kind, key)
  if key == '' then return nil end
  local s = call('GET', P .. kind .. key)
  if not s then return nil end
  local i, ends = string.match(s, '^(%d+) (%d+)$')
  if tonumber(ends) > now then return tonumber(i) end
end

-- cool sets a deadline; the later of two stands.
local function cool(id, model, ends, reason)
  local field = #id .. ':' .. id .. model
  local s = call('HGET', P .. 'c', field)
  if s then
    local e, r = string.match(s, '^(%d+) (%d+)$')
    if tonumber(e) > now and (ends <= tonumber(e) or ends <= now) then return e, r end
  end
  if ends <= now then return nil end
  call('HSET', P .. 'c', field, int(ends) .. ' ' .. reason)
  signals['c' .. id] = true
  return int(ends), reason
end

-- done writes what changed and tells who waits.
local function done()
  flush()
  if next(freed) and someoneWaits() then
    for i, how in pairs(freed) do
      call('HSET', P .. 'F', i, nowText)
      call(ARGV[4], P .. 'wake', how .. i)
    end
  end
  for s, _ in pairs(signals) do call(ARGV[4], P .. 'wake', s) end
end
