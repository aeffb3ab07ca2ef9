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
local byte, sub, char, floor, match, find = string.byte, string.sub, string.char, math.floor, string.match, string.find

-- The loads of all accounts lie in one string, so that reading them costs one call however many there are: the epoch
-- (16, and 8 of all accounts that have places), what is added to the server's clock (16), then for each account in use (3),
-- waiting (3), limit (3) and probes (1), in base 64 from '0'.
local EPOCH, HEAD, WIDTH, UNLISTED = 24, 40, 10, 262143
local STEP = 64 -- of what is over, ended by one call
local APART = 5000000 -- by which clocks part that have jumped
local loads = call('GET', P .. 'L') or ''

local added = tonumber(sub(loads, EPOCH + 1, HEAD)) or 0
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
-- Times that are compared as texts have 16 digits.
local function time(x) return string.format('%016.0f', x) end
local nowText = time(now)

local accounts, changed = {}, {}
local freed, signals = {}, {}

-- account gives the loads of a place; -1 is no account.
local function account(i)
  if i < 0 then return nil end
  local a = accounts[i]
  if a then return a end
  local from = HEAD + i * WIDTH
  local u1, u2, u3, w1, w2, w3, l1, l2, l3, p = byte(loads, from + 1, from + WIDTH)
  if not p then return nil end
  a = {
    use = (u1 - 48) * 4096 + (u2 - 48) * 64 + u3 - 48, wait = (w1 - 48) * 4096 + (w2 - 48) * 64 + w3 - 48,
    limit = (l1 - 48) * 4096 + (l2 - 48) * 64 + l3 - 48, probes = p - 48,
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

local function flush()
  for i, _ in pairs(changed) do
    local a = accounts[i]
    call('SETRANGE', P .. 'L', string.format('%d', HEAD + i * WIDTH),
      three(a.use) .. three(a.wait) .. three(a.limit) .. char(math.min(math.max(a.probes, 0), 63) + 48))
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
  if waiters ~= 0 then a.wait = math.max(a.wait + waiters, 0) end
  if probes ~= 0 then a.probes = math.max(a.probes + probes, 0) end
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

local chain = sub(loads, EPOCH - 7, EPOCH)
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

-- A lease's record: place, flags, request key or -, the lengths of its names, granted, expires, how often handed out, layer,
-- replica that looks after it, life; then tenant, owner, incarnation and what no script reads.
-- Flags: - none, f first token, s switched, m a first-token time counted, p it is its account's probe.
local RECORD = '^... (%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%d+) ()'
local function read(s)
  local flags, request, t, o, n, granted, expires, handed, layer, keeper, ttl, from = match(s, RECORD)
  t, o, n = tonumber(t), tonumber(o), tonumber(n)
  return {
    i = place(s, 1), at = sub(s, 1, 3), flags = flags, request = request, granted = granted, expires = expires,
    handed = tonumber(handed), layer = layer, keeper = keeper, ttl = tonumber(ttl),
    tenant = sub(s, from, from + t - 1), owner = sub(s, from + t, from + t + o - 1),
    incarnation = sub(s, from + t + o, from + t + o + n - 1), rest = sub(s, from + t + o + n),
  }
end

-- brief reads what the end of a lease needs.
local BRIEF = '^... (%S+) (%S+) (%d+) (%d+) %d+ %d+ %d+ %d+ %d+ %S+ %d+ ()'
local function brief(s)
  if sub(s, 4, 12) == ' - - 0 0 ' then
    return { i = place(s, 1), at = sub(s, 1, 3), flags = '-', request = '-', tenant = '', owner = '' }
  end
  local flags, request, t, o, from = match(s, BRIEF)
  local name, owner = '', ''
  if t ~= '0' then name = sub(s, from, from + t - 1) end
  if o ~= '0' then owner = sub(s, from + t, from + t + o - 1) end
  return { i = place(s, 1), at = sub(s, 1, 3), flags = flags, request = request, tenant = name, owner = owner }
end

local function write(id, l)
  local s = table.concat({ l.at, l.flags, l.request, #l.tenant, #l.owner, #l.incarnation, l.granted, l.expires, l.handed, l.layer,
     l.keeper, int(l.ttl), l.tenant }, ' ') .. l.owner .. l.incarnation .. l.rest
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

local markLife = int(math.ceil(markTTL / 1000))
local markEnds = after(ARGV[5])

-- A mark takes the place of the lease's record: !, its flags and how it ended, why, the account, and when it is over.
-- finish gives the slot back and leaves one. how: d it was released, x it ended by itself, w it was handed out to nobody.
-- What frees comes first: a server out of memory lets a script go on that has begun to write.
local function finish(id, l, how, why)
  local i, flags = l.i, l.flags
  call('ZREM', P .. 'x', id)
  count(i, -1, 0, flags ~= '-' and has(flags, 'p') and -1 or 0)
  call('PSETEX', P .. 'l:' .. id, markLife, '!' .. flags .. how .. ' ' .. why .. ' ' .. l.at .. ' ' .. markEnds)
  if l.tenant ~= '' then tenant('t', l.tenant, -1) end
  if l.owner ~= '' then call('SREM', P .. 'o:' .. l.owner, id) end
  if l.request ~= '-' then
    if call('HGET', P .. 'q', l.request) == id then call('HDEL', P .. 'q', l.request) end
    if how == 'd' then call('PSETEX', P .. 'n:' .. l.request, markLife, l.at .. ' ' .. markEnds) end
  end
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

local TOLD = 65536
-- expire ends a lease by itself, for a sweep to tell of.
local function expire(id, s, l, why)
  finish(id, l, 'x', why)
  if call('RPUSH', P .. 'e', id .. ' ' .. s) > TOLD then call('LPOP', P .. 'e') end
end

-- due ends what is over, in steps that do not hold the server for long.
local function due(most)
  local ids = call('ZRANGEBYSCORE', P .. 'x', '-inf', nowText, 'LIMIT', 0, most)
  for _, id in ipairs(ids) do
    if string.sub(id, 1, 1) == '!' then
      leave(string.sub(id, 2))
    else
      local s = lease(id)
      if s then expire(id, s, brief(s), 1) else call('ZREM', P .. 'x', id) end
    end
  end
  return #ids
end

-- A binding, or a substitute: the account's place and when it ends. at is the place as it is written, ttl a text.
local lives = {}
local function bind(kind, key, at, ttl)
  if ttl == '0' then return end
  local life = lives[ttl]
  if not life then
    life = int(math.ceil(tonumber(ttl) / 1000))
    lives[ttl] = life
  end
  call('PSETEX', P .. kind .. key, life, at .. ' ' .. after(ttl))
end

-- bound gives the place as it is written.
local function bound(kind, key)
  local s = call('GET', P .. kind .. key)
  if s and sub(s, 5) > nowText then return sub(s, 1, 3) end
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
