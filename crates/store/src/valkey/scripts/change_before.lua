-- Changes one record. The body of the change function is inserted between this script and
-- change_after.lua.
--
-- KEYS: 1 the record, stored as its expiry time, a colon, and its bytes. ARGV: 1 the time in
-- milliseconds, or '' for the server's own; 2 the channel of all records; 3 '1' to publish only on
-- the record's sharded channel; 4 the most bytes in a record; from 5 on the change's own arguments.
-- Data that was not written by a change is an empty text to the change, which may overwrite it.
local key, given, channel, in_slot = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1'

local time = redis.call('TIME')
local now = tonumber(given) or time[1] * 1000 + math.floor(time[2] / 1000)

local most = tonumber(ARGV[4])
local record
-- A key of another type is an error, and a string may be of any length.
local kept = redis.pcall('GETRANGE', key, 0, most + 32)
if kept ~= '' then
    local ends, bytes
    if type(kept) == 'string' then
        ends, bytes = string.match(kept, '^(%d+):(.*)$')
    end
    if not ends or #bytes > most then
        record = ''
    elseif now < tonumber(ends) then
        record = bytes
    end
end

local args = {}
for at = 5, #ARGV do
    args[at - 4] = ARGV[at]
end

local function change(record, args, now)
