-- ARGV: 5 prefix, 6 limit, 7 the key to continue after, or ''. The reply begins with 'more' if it was cut off after
-- a megabyte.
if torn then
    return {'torn'}
end
local prefix, limit = ARGV[5], tonumber(ARGV[6])
local found, from, bytes = {'keys'}, prefix == '' and '-' or '[' .. prefix, 0
if ARGV[7] ~= '' then
    from = '(' .. ARGV[7]
end
-- Usually nothing has expired, and then no key needs to be checked.
local expired = redis.call('ZCOUNT', ends, '-inf', exact(cutoff)) > 0
while #found <= limit do
    local some = redis.call('ZRANGEBYLEX', names, from, '+', 'LIMIT', 0, 1000)
    for _, key in ipairs(some) do
        if #found > limit or string.sub(key, 1, #prefix) ~= prefix then
            return found
        end
        if not expired or live(key) then
            found[#found + 1] = key
            bytes = bytes + #key
            if bytes >= 1048576 then
                found[1] = 'more'
                return found
            end
        end
    end
    if #some < 1000 then
        return found
    end
    from = '(' .. some[#some]
end
return found
