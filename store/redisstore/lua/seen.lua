-- Put before the takes: what is known of a take already. ARGV[6] lease id, ARGV[7] request key or "-", ARGV[8] not after.
local id, request, notAfter = ARGV[6], ARGV[7], tonumber(ARGV[8])
if notAfter > 0 and notAfter < now then
  done()
  return { int(now), 'late' }
end

-- handed says that the lease of a request id is given out once more.
local function seen(handed)
  if request ~= '-' then
    local other = call('HGET', P .. 'q', request)
    if other then
      local s = call('HGET', P .. 'l', other)
      if s and other ~= id then
        if handed then
          local l = read(s)
          l.handed = l.handed + 1
          s = write(other, l)
        end
        return { int(now), 'repeated', s, other }
      end
      if s then return { int(now), 'again', s } end
    elseif markOfRequest(request) then
      return { int(now), 'released' }
    end
  end
  local s = call('HGET', P .. 'l', id)
  if s then return { int(now), 'again', s } end
  if markOf(id) then return { int(now), 'released' } end
end

local function capped(name, cap) return cap > 0 and held('l', 't', name) >= cap end

-- grant makes the lease count on an account that has room.
local function grant(i, index, flags, layer, from)
  local ttl = tonumber(ARGV[9])
  enter(id, {
    i = i, granted = now, expires = now + ttl, handed = 1, index = index, flags = flags, layer = layer, keeper = replica,
    ttl = ttl, request = request, tenant = ARGV[from], owner = ARGV[from + 1], incarnation = ARGV[from + 2], rest = ARGV[from + 3],
  })
end
