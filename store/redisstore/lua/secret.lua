-- Gives the key that tokens are signed with; ARGV[6] becomes it if there is none. Answers the time and the key. Idempotent.
call('SETNX', P .. 'K', ARGV[6])
done()
return { int(now), call('GET', P .. 'K') }
