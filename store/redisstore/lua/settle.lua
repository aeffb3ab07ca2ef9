-- Events of leases, for ops.lua. Idempotent: each kind of event counts once for a lease while it or its mark lives.
--
-- at +0 kind (t first token, f finished, u unused, s switched, w withdrawn)   +1 lease id or ""   +2 account
--    +3 granted at (0 for not told)   +4 request key or "-"   +5 1 when it carries a first-token time
--    +6 key to bind or ""   +7 its life   +8 account to cool or ""   +9 model   +10 until   +11 reason
--
-- Answers status, place or -1, 1 when the first-token time counts, 1 when it bound.
-- Statuses: a applied, b already applied, r already released, x expired, u unknown, m release recorded.
local AHEAD = 60000000

-- counts lets the event's sample, binding and cooldown count; gives the answer, and the flags with what counted.
local function counts(at, status, i, flags)
  local sampled, didBind = 0, 0
  if ARGV[at + 5] == '1' and not has(flags, 'm') then
    flags, sampled = flags .. 'm', 1
  end
  local key, ttl = ARGV[at + 6], ARGV[at + 7]
  if i >= 0 and key ~= '' and ttl ~= '0' then
    bind('b:', key, i, ttl)
    didBind = 1
  end
  if ARGV[at + 8] ~= '' then cool(ARGV[at + 8], ARGV[at + 9], tonumber(ARGV[at + 10]), ARGV[at + 11]) end
  return { status, i, sampled, didBind }, flags
end

local function live(at, id, s)
  local kind = ARGV[at]
  local l = (kind == 'f' or kind == 'u') and brief(s) or read(s)
  if kind == 't' or kind == 's' then
    local flag = kind == 't' and 'f' or 's'
    if has(l.flags, flag) then return { 'b', l.i, 0, 0 } end
    local answer
    answer, l.flags = counts(at, 'a', l.i, l.flags .. flag)
    write(id, l)
    return answer
  elseif kind == 'f' then
    -- The slot is free before anything else is written; the mark has to know whether a sample counted.
    local flags = l.flags
    if ARGV[at + 5] == '1' and not has(flags, 'm') then l.flags = flags .. 'm' end
    finish(id, l, 'd', 0)
    return (counts(at, 'a', l.i, flags))
  elseif kind == 'u' then
    finish(id, l, 'd', 0)
  else
    l.handed = l.handed - 1
    if l.handed <= 0 then finish(id, l, 'w', 0) else write(id, l) end
  end
  return { 'a', l.i, 0, 0 }
end

local function ended(at, id, flags, why, i)
  i = tonumber(i)
  local kind, expired = ARGV[at], has(flags, 'x')
  if has(flags, 'w') then return { 'r', i, 0, 0 } end
  local function keep(answer, changed)
    local ends = string.match(call('GET', P .. 'l:' .. id) or '', ' (%d+)$')
    local left = ends and tonumber(ends) - now or 0
    if left <= 0 then left = markTTL end
    call('SET', P .. 'l:' .. id, '!' .. changed .. ' ' .. why .. ' ' .. i .. ' ' .. int(now + left), 'PX', math.ceil(left / 1000))
    return answer
  end
  if kind == 't' or kind == 's' then
    local flag = kind == 't' and 'f' or 's'
    if has(flags, flag) then return { 'b', i, 0, 0 } end
    return keep(counts(at, expired and 'x' or 'a', i, flags .. flag))
  end
  if not expired or has(flags, 'd') then return { 'r', i, 0, 0 } end
  if kind == 'f' then return keep(counts(at, 'x', i, flags .. 'd')) end
  local answer = { 'x', i, 0, 0 }
  if kind == 'u' then return keep(answer, flags .. 'd') end
  return answer
end

-- gone is a lease of which nothing is known: one that is too young for its mark to be over ended elsewhere, and counts once.
local function gone(at, id)
  local granted = tonumber(ARGV[at + 3])
  local age = now - granted
  if granted == 0 or age >= markTTL or age < -AHEAD then return { 'u', -1, 0, 0 } end
  if ARGV[at] == 'w' then return { 'x', -1, 0, 0 } end
  return ended(at, id, '-x', 0, ARGV[at + 2] ~= '' and named(ARGV[at + 2]) or -1)
end

local function byRequest(at)
  local request = ARGV[at + 4]
  if request == '-' then return { 'u', -1, 0, 0 } end
  local id = call('HGET', P .. 'q', request)
  if id then
    local s = find(id)
    if s then return live(at, id, s) end
  end
  local i = released(request)
  if i then return { 'r', tonumber(i), 0, 0 } end
  if ARGV[at] ~= 'u' then return { 'u', -1, 0, 0 } end
  call('SET', P .. 'n:' .. request, '-1 ' .. markEnds, 'PX', markLife)
  return { 'm', -1, 0, 0 }
end

-- A server out of memory refuses what might grow something, but not once a script has begun to write; and of the events of one
-- call the last may be a release.
local function begin() call('DEL', P .. 'none') end

local function settle(at)
  local id = ARGV[at + 1]
  if id == '' then
    begin()
    return byRequest(at)
  end
  local s, flags, why, i = find(id)
  if s and (ARGV[at] == 'f' or ARGV[at] == 'u') then return live(at, id, s) end
  begin()
  if s then return live(at, id, s) end
  if flags then return ended(at, id, flags, why, i) end
  return gone(at, id)
end
