local LIVES, MOST = 60000, 16

local ok, old = pcall(cjson.decode, record or '')
local beats, count = {}, 0
old = ok and type(old) == 'table' and old.v == 1 and old.beats
if type(old) == 'table' then
  for process, at in pairs(old) do
    local sound = type(process) == 'string' and #process <= 64
    sound = sound and type(at) == 'number' and at >= 0 and at <= now and at % 1 == 0
    if sound and now - at < LIVES and count < MOST and process ~= args[1] then
      beats[process], count = at, count + 1
    end
  end
end
beats[args[1]] = now
return cjson.encode({v = 1, beats = beats}), LIVES, false
