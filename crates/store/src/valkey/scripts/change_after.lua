
end

local new, life, push = change(record, args, now)
local shown = string.format('%.0f', now)
if not new or #new > most then
    return {'record', shown, record or false}
end

-- Beyond 2^53 Lua's numbers are not exact.
local ends = math.min(now + life, 9007199254740991)
if ends <= now then
    redis.call('DEL', key)
elseif given ~= '' then
    redis.call('SET', key, string.format('%.0f:', ends) .. new)
else
    redis.call('SET', key, string.format('%.0f:', ends) .. new, 'PX', string.format('%.0f', ends - now))
end
if push then
    local message = #key .. ':' .. key .. new
    -- Servers before version 7 have no SPUBLISH, so the record is published to all.
    local receivers = in_slot and redis.pcall('SPUBLISH', key, message)
    if type(receivers) ~= 'number' then
        redis.call('PUBLISH', channel, message)
    end
end
return {'record', shown, new}
