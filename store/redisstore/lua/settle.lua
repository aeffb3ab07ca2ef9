-- Events of leases, for ops.lua. Idempotent: each kind of event counts once for a lease while it or its mark lives.
--
-- An event is
--   head   S; t first token, f finished, u unused, s switched, w withdrawn; then, or - if not: m it carries a first-token
--          time; b it binds; c it cools; q it names a request id and no lease; then the lease's id (22), granted at (16), 0 for
--          not told, the account's place or ---, and the account; or the request key
-- and goes on with what the head says that there is: key to bind and its life; account to cool, model, until, reason, until when it stands.
--
-- Answers a letter; 1 when the first-token time counts, 1 when it bound, else 0; place or ---.
-- Letters: a applied, b already applied, r already released, x expired, u unknown, m release recorded.
local AHEAD = 60000000
local event, what -- where it is in ARGV, and its kind
local sample, binds, cools

-- A server out of memory refuses what might grow something, but not once a script has begun to write; and of the events of one
-- call the last may be a release.
local function begin() call('DEL', P .. 'none') end

-- otherwise makes the functions that most events need none of.
local ofEvents
local function otherwise()
  if ofEvents then return ofEvents end
  local r = rare()

  -- counts lets the event's sample, binding and cooldown count; gives the answer, and the flags with what counted.
  local function counts(status, at, flags)
    local answer = status .. '0'
    if sample and not has(flags, 'm') then
      flags, answer = flags .. 'm', status .. '1'
    end
    local more = event + 1
    if binds then
      if at ~= '---' and ARGV[more + 1] ~= '0' then
        bind(P .. 'b:' .. ARGV[more], at, ARGV[more + 1])
        answer = answer .. '1'
      else
        answer = answer .. '0'
      end
      more = more + 2
    else
      answer = answer .. '0'
    end
    if cools then r.cool(ARGV[more], ARGV[more + 1], tonumber(ARGV[more + 2]), ARGV[more + 3], tonumber(ARGV[more + 4])) end
    return answer .. at, flags
  end

  local function live(id, s)
    if what == 102 then
      -- The slot is free before anything else is written; the mark has to know whether a sample counted.
      local l = r.brief(s)
      local flags = l.flags
      if sample and not has(flags, 'm') then l.flags = flags .. 'm' end
      r.finish(id, l, 'd', '0')
      if not (sample or binds or cools) then return 'a00' .. l.at end
      return (counts('a', l.at, flags))
    elseif what == 117 then
      local l = r.brief(s)
      r.finish(id, l, 'd', '0')
      return 'a00' .. l.at
    end
    local l = r.read(s)
    if what == 119 then
      l.handed = l.handed - 1
      if l.handed <= 0 then r.finish(id, l, 'w', '0') else r.write(id, l) end
      return 'a00' .. l.at
    end
    local flag = what == 116 and 'f' or 's'
    if has(l.flags, flag) then return 'b00' .. l.at end
    local answer
    answer, l.flags = counts('a', l.at, l.flags .. flag)
    r.write(id, l)
    return answer
  end

  local function ended(id, flags, why, at)
    local expired = has(flags, 'x')
    if has(flags, 'w') then return 'r00' .. at end
    local function keep(answer, changed)
      local ends = match(call('GET', P .. 'l:' .. id) or '', ' (%d+)$')
      local left = ends and tonumber(ends) - now or 0
      if left <= 0 then left = markTTL end
      call('PSETEX', P .. 'l:' .. id, int(math.ceil(left / 1000)), '!' .. changed .. ' ' .. why .. ' ' .. at .. ' ' .. time(now + left))
      return answer
    end
    if what == 116 or what == 115 then
      local flag = what == 116 and 'f' or 's'
      if has(flags, flag) then return 'b00' .. at end
      return keep(counts(expired and 'x' or 'a', at, flags .. flag))
    end
    if not expired or has(flags, 'd') then return 'r00' .. at end
    if what == 102 then return keep(counts('x', at, flags .. 'd')) end
    local answer = 'x00' .. at
    if what == 117 then return keep(answer, flags .. 'd') end
    return answer
  end

  -- gone is a lease of which nothing is known: one that is too young for its mark to be over ended elsewhere, and counts once.
  local function gone(id, granted, name)
    local age = now - granted
    if granted == 0 or age >= markTTL or age < -AHEAD then return 'u00---' end
    if what == 119 then return 'x00---' end
    return ended(id, '-x', '0', name ~= '' and placed(r.named(name)) or '---')
  end

  local function byRequest(key)
    if key == '-' then return 'u00---' end
    local id = call('HGET', P .. 'q', key)
    if id then
      local s = lease(id)
      if s then return live(id, s) end
    end
    local at = r.released(key)
    if at then return 'r00' .. at end
    if what ~= 117 then return 'u00---' end
    call('PSETEX', P .. 'n:' .. key, markLife, '--- ' .. markEnds)
    if someoneWaits() then signals['r' .. key] = true end
    return 'm00---'
  end

  ofEvents = { live = live, ended = ended, gone = gone, byRequest = byRequest }
  return ofEvents
end

-- plainly ends a lease of which nothing is to be known but its account, by as few commands as can be: that it is where its caller says is
-- found out when its mark is written. The slot is free before anything else is written. Answers nil when there is no such lease.
local marks = {}
local function plainly(id, at)
  if at == '---' or call('ZREM', P .. 'x', id) == 0 then return nil end
  local mark = marks[at]
  if not mark then
    mark = '!-d 0 ' .. at .. ' ' .. markEnds
    marks[at] = mark
  end
  local key = P .. 'l:' .. id
  local s = call('SET', key, mark, 'PX', markLife, 'GET')
  if s and sub(s, 1, 3) == at and plain(s) then
    local i = place(at, 1)
    count(i, -1, 0, 0)
    freed[i] = 'f'
    return 'a00' .. at
  end
  if not s then
    call('DEL', key)
  elseif byte(s) == 33 then
    call('PSETEX', key, markLife, s)
  else
    call('SET', key, s)
  end
  return nil
end

-- settle applies the event at a place of ARGV. Answers what became of it, and where the next begins.
local function settle(at, head)
  local m, b, c, q
  event = at
  what, m, b, c, q = byte(head, 2, 6)
  sample, binds, cools = m ~= 45, b ~= 45, c ~= 45
  local following = at + 1 + (binds and 2 or 0) + (cools and 5 or 0)
  if q ~= 45 then
    begin()
    return otherwise().byRequest(sub(head, 7)), following
  end
  local id = sub(head, 7, 28)
  local over = what == 102 or what == 117
  if over and not (sample or binds or cools) then
    local answer = plainly(id, sub(head, 45, 47))
    if answer then return answer, following end
  end
  local s, flags, why, where = lease(id)
  -- The slot is free before anything else is written.
  if s and over then return otherwise().live(id, s), following end
  begin()
  local o = otherwise()
  if s then return o.live(id, s), following end
  if flags then return o.ended(id, flags, why, where), following end
  return o.gone(id, tonumber(sub(head, 29, 44)), sub(head, 48)), following
end
