-- After the guard of what keeps or gives back, and might grow something first: a server out of memory refuses that, but not
-- once a script has begun to write.
call('DEL', P .. 'none')
