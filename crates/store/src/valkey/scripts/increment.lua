-- ARGV: 5 key, 6 the increment, 7 time to live in milliseconds or '', 8 the partition's or '', 9 the
-- most objects or '' for no limit.
if torn then
    return {'torn'}
end
local key, by, ttl, default, max = unpack(ARGV, 5)
local at = live(key)
if not at then
    local given, first = store(key, by, 'text/plain', life(ttl == '' and default or ttl), tonumber(max))
    return given and {'sum', by, given, first} or {'full'}
end

-- Lua's numbers are exact only up to 2^53, so the server adds; and it rejects '+7' and '007'.
local before = redis.call('HGET', values, key)
local sign, digits = string.match(before, '^([+-]?)0*(%d+)$')
if not digits or #digits > 19 then
    return {'nan'}
end
local number = (sign == '-' and digits ~= '0' and '-' or '') .. digits
redis.call('HSET', values, key, number)
local sum = redis.pcall('HINCRBY', values, key, by)
if type(sum) == 'table' then
    redis.call('HSET', values, key, before)
    if string.find(sum.err, 'overflow', 1, true) then
        return {'overflow', number}
    elseif string.find(sum.err, 'not an integer', 1, true) then
        return {'nan'}
    end
    return sum
end
local total = redis.call('HGET', values, key)
local given = store(key, total, redis.call('HGET', types, key), ttl == '' and at or life(ttl))
return {'sum', total, given, 0}
