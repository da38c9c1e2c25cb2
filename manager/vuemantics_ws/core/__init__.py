"""The rules, pure: no event loop, no clock, no chance, no sockets, no logging. Time comes in as a number of seconds."""
