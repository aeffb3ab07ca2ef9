-- Takes, for ops.lua. Each answers a text: a letter that tells what became of it, then what belongs to it; loads are told by
-- ops.lua at the end.
--
-- A take begins with
--   head    F take first or B take bound; not after (16); l from the line, n from nobody in it; then, or - if not:
--           q with a request id; t with a tenant; o with an owner; b with a session, s with one whose substitute is bound;
--           r with a response; d dry run; s spill a full session; r ask no other layer after a response binding; a loads
--           whatever becomes of it; then the tenant's cap, 0 is none
--   the lease's id, the record's request key and lengths, its names; for F choices: place and p for a probe or -, each
-- and goes on with what the head says that there is: tenant, owner, session key, response key.
local id, lengths, names, order, request, name, owner, session, response, cap
local fromLine, dry, spill, alone
local kind -- of the session's binding

-- What takes have in common: the lives of leases, of bindings of sessions and of responses, and fates.
local leaseLife, sessionLife, responseLife = '0', '0', '0'
local fates, others = '', '0'

-- beginTake reads the take at a place of ARGV. Answers where the next begins, and whether it is late.
local function beginTake(at)
  local head = ARGV[at]
  local asker, q, t, o, s, r, d, sp, al = byte(head, 18, 26)
  id, lengths, names = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  fromLine, dry, spill, alone = asker == 108, d ~= 45, sp ~= 45, al ~= 45
  at = at + 4
  if byte(head) == 70 then
    order = ARGV[at]
    at = at + 1
  end
  request = q ~= 45 and sub(lengths, 1, 32) or nil
  name, owner, session, response, cap = '', '', nil, nil, 0
  if t ~= 45 then
    name = ARGV[at]
    at = at + 1
  end
  if o ~= 45 then
    owner = ARGV[at]
    at = at + 1
  end
  if s ~= 45 then
    session, kind = ARGV[at], s == 98 and 'b:' or 's:'
    at = at + 1
  end
  if r ~= 45 then
    response = ARGV[at]
    at = at + 1
  end
  if #head > 28 or byte(head, 28) ~= 48 then cap = tonumber(sub(head, 28)) end
  return at, untimely or sub(head, 2, 17) < nowText
end

local function capped() return cap > 0 and held(leases(), 't', name) >= cap end

-- before tells of a take that may have been here: by its request id, then by its lease id. counts says that the lease
-- of a request id is given out once more. Answers a or p with the lease's id and record, r released, or nil.
local function before(key, counts)
  if key then
    local other = call('HGET', P .. 'q', key)
    if other then
      local s = lease(other)
      if s and other ~= id then
        if counts then
          local l = read(s)
          l.handed = l.handed + 1
          s = write(other, l)
        end
        return 'p' .. other .. s
      end
      if s then return 'a' .. id .. s end
    elseif released(key) then
      return 'r'
    end
  end
  local s, flags = lease(id)
  if s then return 'a' .. id .. s end
  if flags then return 'r' end
end

-- grant makes the lease count on an account that has room, unless the lease id was here before. at is the place as it is
-- written. Answers nil, or what is known of the id, or ! and why the server refuses.
local function grant(i, at, flags, layer)
  local expires = after(leaseLife)
  local s = at .. ' ' .. flags .. ' ' .. lengths .. ' ' .. nowText .. ' ' .. expires .. ' 1 ' .. layer ..
    ' ' .. replica .. ' ' .. leaseLife .. ' ' .. names
  local set = redis.pcall('SETNX', P .. 'l:' .. id, s)
  if set ~= 1 then
    if set == 0 then
      local was = before(nil, false)
      if was then return was end
      set = redis.pcall('SET', P .. 'l:' .. id, s) -- over a mark that is over
    end
    if set.err then return '!' .. set.err end
  end
  enter(id, i, flags, request or '-', name, owner, expires)
  if fromLine then served() end
end

-- Takes the first choice that has room, and binds the session to it. Idempotent by request key and by lease id.
--
-- Answers t took and the place; a again or p repeated with id and record; r released; c the tenant's cap
-- is met; l late; n none; ! and the fault.
local function takeFirst()
  local was = request and before(request, true)
  if was then return was end
  if capped() then return before(nil, false) or 'c' end
  for n = 0, #order / 4 - 1 do
    local from = n * 4
    local a, b, c, probe = byte(order, from + 1, from + 4)
    local i = (a - 48) * 4096 + (b - 48) * 64 + c - 48
    probe = probe == 112
    if free(i, fromLine) and not (probe and account(i).probes > 0) then
      local at = sub(order, from + 1, from + 3)
      was = grant(i, at, probe and 'p' or '-', '0')
      if was then return was end
      if session then bind(kind, session, at, sessionLife) end
      return 't' .. at
    end
  end
  return before(nil, false) or 'n'
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
local NOTHING = '-----'

-- fate gives what a binding to an account meets, and whether it is taken as a probe.
local function fate(i, shift)
  local c = (byte(fates, i + 1) or byte(others)) - 48
  local f, a = floor(c / shift) % 4, account(i)
  if f >= TAKE and (not a or a.limit == UNLISTED) then return KEEP end
  if f ~= PROBE then return f end
  return a.probes > 0 and KEEP or TAKE, true
end

local FATES = { [KEEP] = '0-', [DROP] = '1-', [TAKE] = '2-' }

-- byResponse follows the response's binding: nil when there is none to follow, and what was found.
local function byResponse(at)
  local i = place(at, 1)
  local f, probe = fate(i, 1)
  local found = at .. FATES[f]
  if f ~= TAKE then
    if f == DROP and not dry then call('DEL', P .. 'b:' .. response) end
    return nil, found
  end
  if free(i, fromLine) then
    local was = not dry and grant(i, at, probe and 'p' or '-', '1')
    if was then return was end
    if not dry then
      if session then bind('b:', session, at, sessionLife) end
      bind('b:', response, at, responseLife)
    end
    return 't1' .. at, found
  end
  local was = before(nil, false)
  if was then return was end
  -- A full account keeps the conversation: the session follows it, but the response is not used yet.
  if not dry and session then bind('b:', session, at, sessionLife) end
  return 'f1' .. at, at .. '2f'
end

-- standIn takes the substitute. Answers nil when it cannot, and who that is.
local function standIn()
  local at = bound('s:', session)
  if not at then return nil, '---' end
  local i = place(at, 1)
  if not free(i, fromLine) then return nil, at end
  local f, probe = fate(i, 16)
  if f ~= TAKE then return nil, at end
  return not dry and grant(i, at, probe and 'p' or '-', '2') or 't2' .. at, at
end

-- bySession follows the session's binding and, where that is kept but may not serve now, its substitute. Answers as
-- byResponse does, and the substitute.
local function bySession(at)
  local i = place(at, 1)
  local f, probe = fate(i, 4)
  local found = at .. FATES[f]
  if f == DROP then
    if not dry then call('DEL', P .. 'b:' .. session) end
    return nil, found, '---'
  elseif f == KEEP then
    local out, other = standIn()
    return out, found, other
  elseif free(i, fromLine) then
    local was = not dry and grant(i, at, probe and 'p' or '-', '2')
    if was then return was end
    if not dry then bind('b:', session, at, sessionLife) end
    return 't2' .. at, found, '---'
  elseif spill then
    local out, other = standIn()
    return out, at .. '2f', other
  end
  return before(nil, false) or 'f2' .. at, at .. '2f', '---'
end

local function takeBound()
  local was = request and before(request, not dry)
  if was then return was end
  if capped() then return before(nil, false) or 'c' end
  local out, ofResponse, ofSession, substitute
  local at = response and bound('b:', response)
  if at then out, ofResponse = byResponse(at) end
  if not out and session and not (ofResponse and alone) then
    at = bound('b:', session)
    if at then out, ofSession, substitute = bySession(at) end
  end
  out = out or before(nil, false) or 'n0---'
  local letter = byte(out)
  if letter ~= 116 and letter ~= 102 and letter ~= 110 then return out end
  return out .. (ofResponse or NOTHING) .. (ofSession or NOTHING) .. (substitute or '---')
end
