-- The newest state, as it was told; nothing where there is none.

local head = read_head()
return head and state_message(head, redis.call('HGET', KEYS[1], 'payload'))
