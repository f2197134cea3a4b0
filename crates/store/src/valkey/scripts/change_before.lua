-- Changes one record. What the change does stands between this and the script that follows.
--
-- KEYS: 1 the record, kept as the time at which it ends, a colon, and its bytes. ARGV: 1 the time in
-- milliseconds, or '' for the server's own; 2 the channel on which all hear of it; 3 '1' to tell
-- only those who listen in the record's slot; from 4 on the change's own.
local key, given, channel, in_slot = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1'

local time = redis.call('TIME')
local now = tonumber(given) or time[1] * 1000 + math.floor(time[2] / 1000)

local record
local kept = redis.call('GET', key)
if kept then
    local ends, bytes = string.match(kept, '^(%d+):(.*)$')
    if not ends then
        return {'torn'}
    end
    if now < tonumber(ends) then
        record = bytes
    end
end

local args = {}
for at = 4, #ARGV do
    args[at - 3] = ARGV[at]
end

local function change(record, args, now)
