-- Put before register: has a memory of which keys were lost agree again with the records that are left.

-- listed gives the accounts by place, as A or N tells, and how many; none unless it tells of all.
local function listed(hash, byId)
  local all, list, n = call('HGETALL', P .. hash), {}, 0
  for k = 1, #all, 2 do
    if byId then list[tonumber(all[k + 1])] = all[k] else list[tonumber(all[k])] = all[k + 1] end
    n = n + 1
  end
  for i = 0, n - 1 do
    if not list[i] then return {}, 0 end
  end
  return list, n
end

-- places makes A and N agree. Answers how many accounts have places.
local function places()
  local list, n = listed('A', true)
  local other, m = listed('N', false)
  if m > n then list, n = other, m end
  call('DEL', P .. 'A')
  call('DEL', P .. 'N')
  for i = 0, n - 1 do
    call('HSET', P .. 'A', list[i], i)
    call('HSET', P .. 'N', i, list[i])
  end
  return n
end

-- recount counts leases and waiters again; those that are on no account any more, or lack their record or their end, are none.
local function recount(n)
  for _, key in ipairs({ 'q', 't', 'tw', 'wr', 'T' }) do call('DEL', P .. key) end
  local ends = {}
  for _, id in ipairs(call('ZRANGE', P .. 'x', 0, -1)) do
    if byte(id) == 33 then
      ends[sub(id, 2)] = true
    else
      local s = lease(id)
      local l = s and read(s)
      if l and l.i < n then
        enter(id, l.i, l.flags, l.request, l.tenant, l.owner)
      else
        call('ZREM', P .. 'x', id)
        if l then
          call('DEL', P .. 'l:' .. id)
          if l.owner ~= '' then call('SREM', P .. 'o:' .. l.owner, id) end
        end
      end
    end
  end
  local all = call('HGETALL', P .. 'w')
  for k = 1, #all, 2 do
    local id, i, keeper, name = all[k], match(all[k + 1], '^(%-?%d+) (%S+) (.*)$')
    if ends[id] and tonumber(i) < n then
      ends[id] = nil
      count(tonumber(i), 0, 1, 0)
      tenant('tw', name, 1)
      if call('HINCRBY', P .. 'wr', keeper, 1) == 1 then call('ZADD', P .. 'T', nowText, keeper) end
    else
      call('HDEL', P .. 'w', id)
    end
  end
  for id, _ in pairs(ends) do call('ZREM', P .. 'x', '!' .. id) end
end
