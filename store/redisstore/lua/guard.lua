-- After the prelude of every script but register: places are worth nothing to one who knows another epoch.
if string.sub(loads, 1, HEAD) ~= ARGV[2] then return { 'epoch', string.sub(loads, 1, HEAD) } end
due(STEP)
