-- Applies events to leases, in order.
--
-- ARGV[6..] 12 for each event: kind (t first token, f finished, u unused, s switched, w withdrawn), lease id or "", account,
-- granted at (0 for not told), request key or "-", 1 when it carries a first-token time, key to bind or "", its life,
-- account to cool or "", model, until, reason
--
-- Answers the time, then for each event: status, place or -1, 1 when the first-token time counts, 1 when it bound.
-- Statuses: a applied, b already applied, r already released, x expired, u unknown, m release recorded.
-- Idempotent: each kind of event counts once for a lease while it or its mark lives.
local AHEAD = 60000000
local out = { int(now) }
local e

local function answer(status, i, sampled, didBind)
  out[#out + 1] = status
  out[#out + 1] = i or -1
  out[#out + 1] = sampled and 1 or 0
  out[#out + 1] = didBind and 1 or 0
end

-- counts lets the event's sample, binding and cooldown count; gives the flags with what counted.
local function counts(status, i, flags)
  local sampled, didBind = false, false
  if e.sample and not has(flags, 'm') then
    flags, sampled = flags .. 'm', true
  end
  if i and i >= 0 and e.bind ~= '' and e.life > 0 then
    bind('b:', e.bind, i, e.life)
    didBind = true
  end
  if e.cools ~= '' then cool(e.cools, e.model, e.ends, e.reason) end
  answer(status, i, sampled, didBind)
  return flags
end

local function live(id, s)
  local l = read(s)
  if e.kind == 't' or e.kind == 's' then
    local flag = e.kind == 't' and 'f' or 's'
    if has(l.flags, flag) then return answer('b', l.i) end
    l.flags = counts('a', l.i, l.flags .. flag)
    write(id, l)
  elseif e.kind == 'f' then
    -- The slot is free before anything else is written; the mark needs to know whether a sample counted.
    if e.sample and not has(l.flags, 'm') then
      finish(id, { i = l.i, flags = l.flags .. 'm', tenant = l.tenant, owner = l.owner, request = l.request }, 'd', 0)
    else
      finish(id, l, 'd', 0)
    end
    counts('a', l.i, l.flags)
  elseif e.kind == 'u' then
    finish(id, l, 'd', 0)
    answer('a', l.i)
  else
    l.handed = l.handed - 1
    if l.handed <= 0 then finish(id, l, 'w', 0) else write(id, l) end
    answer('a', l.i)
  end
end

local function ended(id, flags, why, i)
  i = tonumber(i)
  if has(flags, 'w') then return answer('r', i) end
  local expired = has(flags, 'x')
  local function keep(changed)
    local ends = string.match(call('GET', P .. 'm:' .. id) or '', ' (%d+)$')
    local left = ends and tonumber(ends) - now or markTTL
    call('SET', P .. 'm:' .. id, changed .. ' ' .. why .. ' ' .. int(i) .. ' ' .. int(now + left), 'PX', math.ceil(left / 1000))
  end
  if e.kind == 't' or e.kind == 's' then
    local flag = e.kind == 't' and 'f' or 's'
    if has(flags, flag) then return answer('b', i) end
    return keep(counts(expired and 'x' or 'a', i, flags .. flag))
  end
  if not expired or has(flags, 'd') then return answer('r', i) end
  if e.kind == 'f' then return keep(counts('x', i, flags .. 'd')) end
  if e.kind == 'u' then keep(flags .. 'd') end
  answer('x', i)
end

local function gone(id)
  local age = now - e.granted
  if e.granted == 0 or age >= markTTL or age < -AHEAD then return answer('u') end
  if e.kind == 'w' then return answer('x') end
  ended(id, '-x', 0, e.account ~= '' and named(e.account) or -1)
end

local function byRequest()
  if e.request == '-' then return answer('u') end
  local id = call('HGET', P .. 'q', e.request)
  if id then return live(id, call('HGET', P .. 'l', id)) end
  local i = markOfRequest(e.request)
  if i then return answer('r', tonumber(i)) end
  if e.kind ~= 'u' then return answer('u') end
  mark('n:', e.request, '-1')
  answer('m')
end

for n = 6, #ARGV, 12 do
  e = {
    kind = ARGV[n], account = ARGV[n + 2], granted = tonumber(ARGV[n + 3]), request = ARGV[n + 4], sample = ARGV[n + 5] == '1',
    bind = ARGV[n + 6], life = tonumber(ARGV[n + 7]), cools = ARGV[n + 8], model = ARGV[n + 9],
    ends = tonumber(ARGV[n + 10]), reason = ARGV[n + 11],
  }
  local id = ARGV[n + 1]
  if id == '' then
    byRequest()
  else
    local s = call('HGET', P .. 'l', id)
    if s then
      live(id, s)
    else
      local flags, why, i = markOf(id)
      if flags then ended(id, flags, why, i) else gone(id) end
    end
  end
end
done()
return out
