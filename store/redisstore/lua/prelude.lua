-- Shared by every script and put before it.
--
-- KEYS[1]  the namespace's prefix, "usher:{name}:"; every other key is made of it, so that all lie in one hash slot
-- ARGV[1]  until when and from when the call is in time, 16 digits each; in tests also what the server's clock shows
-- ARGV[2]  the epoch that the caller knows, 24 characters
-- ARGV[3]  the caller's replica
-- ARGV[4]  PUBLISH or SPUBLISH
-- ARGV[5]  the life of marks in milliseconds
--
-- All times are microseconds on the namespace's clock: the server's, and what that has jumped by. A script that answers
-- {'epoch', e} changed nothing, nor did one that answers {time, 'late'}.
local P = KEYS[1]
local call, pcall = redis.call, redis.pcall
local byte, sub, char, floor, match, find = string.byte, string.sub, string.char, math.floor, string.match, string.find

-- The loads of all accounts lie in one string, so that reading them costs one call however many there are: the epoch
-- (16, and 8 of all accounts that have places), what is added to the server's clock (16), then for each account in use (3),
-- waiting (3), limit (3) and probes (1), in base 64 from '0'.
local EPOCH, HEAD, WIDTH, UNLISTED = 24, 40, 10, 262143
local STEP = 64 -- of what is over, ended by one call
local TOLD = 65536 -- of what ended by itself
local KEPT = 4096 -- deadlines, from which on a new one stands no longer than it lasts
local APART = 5000000 -- by which clocks part that have jumped
local DISUSE = 604800000000 -- after which an account that no roster lists loses its place, if nothing that is bound to it can live
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
local replica, markLife = ARGV[3], ARGV[5]
local markTTL = markLife * 1000

local function int(x) return string.format('%.0f', x) end
-- Times that are compared as texts have 16 digits.
local NEVER = 9007199254740992
local function time(x) return string.format('%016.0f', x < NEVER and x or NEVER) end
local nowText = time(now)
