-- Reads records. KEYS: the records. ARGV: 1 the time in milliseconds, or '' for the server's own; 2 the most bytes in
-- one. Returns the first records, as many as fit a short reply but at least one. Data that was not written by a change
-- is returned as an empty text.
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])

local found, bytes = {'records', string.format('%.0f', now)}, 0
for at, key in ipairs(KEYS) do
    -- A key of another type is an error, and a string may be of any length.
    local kept = redis.pcall('GETRANGE', key, 0, most + 32)
    local record = false
    if kept ~= '' then
        local ends, text
        if type(kept) == 'string' then
            ends, text = string.match(kept, '^(%d+):(.*)$')
        end
        if not ends or #text > most then
            record = ''
        elseif now < tonumber(ends) then
            record = text
        end
    end
    found[at + 2] = record
    bytes = bytes + (record and #record or 0)
    if bytes >= most / 2 then
        break
    end
end
return found
