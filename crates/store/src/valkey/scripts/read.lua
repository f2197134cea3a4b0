-- Reads records. KEYS: the records. ARGV: 1 the time in milliseconds, or '' for the server's own.
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] * 1000 + math.floor(time[2] / 1000)

local found = {'records', string.format('%.0f', now)}
for at, key in ipairs(KEYS) do
    local kept = redis.call('GET', key)
    if kept then
        local ends, bytes = string.match(kept, '^(%d+):(.*)$')
        if not ends then
            return {'torn'}
        end
        kept = now < tonumber(ends) and bytes
    end
    found[at + 2] = kept
end
return found
