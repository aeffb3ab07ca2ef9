-- Takes, for ops.lua. Each answers a text: a letter that tells what became of it, then what belongs to it; loads are told by
-- ops.lua at the end.
--
-- A take begins with
--   head    F take first or B take bound; not after (16); the lease's id (22); l from the line, n from nobody in it; then, or -
--           if not: q with a request id; t with a tenant; o with an owner; b with a session, s with one whose substitute is
--           bound; r with a response; d dry run; s spill a full session; r ask no other layer after a response binding; a loads
--           whatever becomes of it; then the tenant's cap, 0 is none
--   the part of its record that begins with the request key; for F choices: place and p for a probe or -, each
-- and goes on with what the head says that there is: tenant, owner, session key, response key.
local id, body, order, request, name, owner
local session, response -- the keys of their bindings
-- What the head of the last one said besides.
local saying, fromLine, hasRequest, hasTenant, hasOwner, hasSession, hasResponse, dry, spill, alone, always, cap
local kind -- of the session's binding

-- What takes have in common: what their leases' records say after place and layer, without a probe, and when they end; the
-- lives of bindings of sessions and of responses; and fates.
local stamp, leaseEnds
local sessionLife, responseLife
local fates, others = '', '0'

-- lasting takes the lives of those that follow.
local function lasting(leaseLife, s, r)
  leaseEnds, sessionLife, responseLife = after(leaseLife), s, r
  stamp = nowText .. leaseEnds .. time(tonumber(leaseLife)) .. replica
end

local function say(text)
  saying = text
  local asker, q, t, o, s, r, d, sp, al, lo = byte(text, 1, 10)
  fromLine, hasRequest, hasTenant, hasOwner, hasSession, hasResponse = asker == 108, q ~= 45, t ~= 45, o ~= 45, s ~= 45, r ~= 45
  dry, spill, alone, always, kind, cap = d ~= 45, sp ~= 45, al ~= 45, lo ~= 45, s == 98 and 'b:' or 's:', tonumber(sub(text, 11))
end

-- beginTake reads the take at a place of ARGV. Answers where the next begins.
local function beginTake(at, head)
  local text = sub(head, 40)
  if text ~= saying then say(text) end
  id, body = sub(head, 18, 39), ARGV[at + 1]
  at = at + 2
  if byte(head) == 70 then
    order = ARGV[at]
    at = at + 1
  end
  request = hasRequest and sub(body, 1, 32)
  name, owner, session, response = '', '', nil, nil
  if hasTenant then
    name = ARGV[at]
    at = at + 1
  end
  if hasOwner then
    owner = ARGV[at]
    at = at + 1
  end
  if hasSession then
    session = P .. kind .. ARGV[at]
    at = at + 1
  end
  if hasResponse then
    response = P .. 'b:' .. ARGV[at]
    at = at + 1
  end
  return at
end

-- seldom makes the functions that most takes need none of.
local ofTakes
local function seldom()
  if ofTakes then return ofTakes end
  local r = rare()

  -- capped tells that the tenant holds what it may.
  local function capped() return r.held(r.leases(), 't', name) >= cap end

  -- before tells of a take that may have been here: by its request id, then by its lease id. counts says that the lease
  -- of a request id is given out once more. Answers a or p with the lease's id and record, r released, or nil.
  local function before(key, counts)
    if key then
      local other = call('HGET', P .. 'q', key)
      if other then
        local s = lease(other)
        if s and other ~= id then
          if counts then
            local l = r.read(s)
            l.handed = l.handed + 1
            s = r.write(other, l)
          end
          return 'p' .. other .. s
        end
        if s then return 'a' .. id .. s end
      elseif r.released(key) then
        return 'r'
      end
    end
    local s, flags = lease(id)
    if s then return 'a' .. id .. s end
    if flags then return 'r' end
  end

  ofTakes = { before = before, capped = capped }
  return ofTakes
end

-- grant makes the lease count on an account that has room, unless the lease id was here before. at is the place as it is
-- written. Answers nil, or what is known of the id, or ! and why the server refuses.
local function grant(i, at, probe, layer)
  local s, key = at .. layer .. stamp .. (probe and ' p 1 ' or ' - 1 ') .. body, P .. 'l:' .. id
  local set = pcall('SETNX', key, s)
  if set ~= 1 then
    if set == 0 then
      local was = seldom().before(nil, false)
      if was then return was end
      set = pcall('SET', key, s) -- over a mark that is over
    end
    if set.err then return '!' .. set.err end
  end
  call('ZADD', P .. 'x', leaseEnds, id)
  if request then call('HSET', P .. 'q', request, id) end
  if hasOwner then call('SADD', P .. 'o:' .. owner, id) end
  if hasTenant then rare().tenant('t', name, 1) end
  count(i, 1, 0, probe and 1 or 0)
  if fromLine then rare().served() end
end

-- Takes the first choice that has room, and binds the session to it. Idempotent by request key and by lease id.
--
-- Answers t took and the place; a again or p repeated with id and record; r released; c the tenant's cap
-- is met; l late; n none; ! and the fault.
local function takeFirst()
  local was = request and seldom().before(request, true)
  if was then return was end
  if cap > 0 and seldom().capped() then return seldom().before(nil, false) or 'c' end
  for from = 1, #order, 4 do
    local a, b, c, probe = byte(order, from, from + 3)
    local i = (a - 48) * 4096 + (b - 48) * 64 + c - 48
    probe = probe == 112
    if free(i, fromLine) and not (probe and account(i).probes > 0) then
      local at = sub(order, from, from + 2)
      was = grant(i, at, probe, '0')
      if was then return was end
      if session then bind(session, at, sessionLife) end
      return 't' .. at
    end
  end
  return seldom().before(nil, false) or 'n'
end

-- Takes the account that the response or the session is bound to. Idempotent by request key and by lease id. An unfit
-- binding has no effect but the fate that it was given.
--
-- fates has a character for each place, 48 + response + 4*session + 16*substitute, 0 keep, 1 drop, 2 take, 3 probe
--
-- Answers t took, f full or n none with layer (1 response, 2 session, else 0), place, and what was found of the response's
-- binding, of the session's (place, fate and f when full or -, as "00<2f", or -----), of the substitute (place or ---); else
-- as above. A substitute is looked for when the session's account is not to be taken, or full and left for now.
local KEEP, DROP, TAKE, PROBE = 0, 1, 2, 3
local none = { below = 0 }
local NOTHING = '-----'

-- fate gives what a binding to an account meets, and whether it is taken as a probe.
local ALWAYS = 48 + TAKE * 21 -- in all layers
local function fate(i, shift)
  local c = byte(fates, i + 1) or byte(others)
  if c == ALWAYS and (accounts[i] or account(i) or none).below > 0 then return TAKE end
  c = c - 48
  local f, a = floor(c / shift) % 4, account(i)
  if f >= TAKE and (not a or a.limit == UNLISTED) then return KEEP end
  if f ~= PROBE then return f end
  return a.probes > 0 and KEEP or TAKE, true
end

local FATES = { [KEEP] = '0-', [DROP] = '1-', [TAKE] = '2-' }

-- detours makes the functions that follow anything but a session to the account that it is bound to.
local ofBound
local function detours()
  if ofBound then return ofBound end

  -- byResponse follows the response's binding: nil when there is none to follow, and what was found.
  local function byResponse(at)
    local i = place(at, 1)
    local f, probe = fate(i, 1)
    local found = at .. FATES[f]
    if f ~= TAKE then
      if f == DROP and not dry then call('DEL', response) end
      return nil, found
    end
    if free(i, fromLine) then
      local was = not dry and grant(i, at, probe, '1')
      if was then return was end
      if not dry then
        if session then bind(session, at, sessionLife) end
        bind(response, at, responseLife)
      end
      return 't1' .. at, found
    end
    local was = seldom().before(nil, false)
    if was then return was end
    -- A full account keeps the conversation: the session follows it, but the response is not used yet.
    if not dry and session then bind(session, at, sessionLife) end
    return 'f1' .. at, at .. '2f'
  end

  -- standIn takes the substitute. Answers nil when it cannot, and who that is.
  local function standIn()
    local at = bound(P .. 's:' .. sub(session, #P + 3))
    if not at then return nil, '---' end
    local i = place(at, 1)
    if not free(i, fromLine) then return nil, at end
    local f, probe = fate(i, 16)
    if f ~= TAKE then return nil, at end
    return not dry and grant(i, at, probe, '2') or 't2' .. at, at
  end

  ofBound = { byResponse = byResponse, standIn = standIn }
  return ofBound
end

-- bySession follows the session's binding and, where that is kept but may not serve now, its substitute. Answers as
-- byResponse does, and the substitute.
local function bySession(at)
  local i = place(at, 1)
  local f, probe = fate(i, 4)
  local found = at .. FATES[f]
  if f == DROP then
    if not dry then call('DEL', session) end
    return nil, found, '---'
  elseif f == KEEP then
    local out, other = detours().standIn()
    return out, found, other
  elseif free(i, fromLine) then
    local was = not dry and grant(i, at, probe, '2')
    if was then return was end
    if not dry then bind(session, at, sessionLife) end
    return 't2' .. at, found, '---'
  elseif spill then
    local out, other = detours().standIn()
    return out, at .. '2f', other
  end
  return seldom().before(nil, false) or 'f2' .. at, at .. '2f', '---'
end

local function takeBound()
  local was = request and seldom().before(request, not dry)
  if was then return was end
  if cap > 0 and seldom().capped() then return seldom().before(nil, false) or 'c' end
  local out, ofResponse, ofSession, substitute
  local at = response and bound(response)
  if at then out, ofResponse = detours().byResponse(at) end
  if not out and session and not (ofResponse and alone) then
    at = bound(session)
    if at then out, ofSession, substitute = bySession(at) end
  end
  out = out or seldom().before(nil, false) or 'n0---'
  local letter = byte(out)
  if letter ~= 116 and letter ~= 102 and letter ~= 110 then return out end
  return out .. (ofResponse or NOTHING) .. (ofSession or NOTHING) .. (substitute or '---')
end
