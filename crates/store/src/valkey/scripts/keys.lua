-- ARGV: 5 prefix, 6 limit.
if torn then
    return {'torn'}
end
local prefix, limit = ARGV[5], tonumber(ARGV[6])
local found, from = {'keys'}, prefix == '' and '-' or '[' .. prefix
-- Mostly nothing is expired, and then no key needs a look.
local expired = redis.call('ZCOUNT', ends, '-inf', exact(cutoff)) > 0
while #found <= limit do
    local some = redis.call('ZRANGEBYLEX', names, from, '+', 'LIMIT', 0, 1000)
    for _, key in ipairs(some) do
        if #found > limit or string.sub(key, 1, #prefix) ~= prefix then
            return found
        end
        if not expired or live(key) then
            found[#found + 1] = key
        end
    end
    if #some < 1000 then
        return found
    end
    from = '(' .. some[#some]
end
return found
