"""Virtual time: an event loop whose clock jumps to whatever comes next, and the processes that share it."""
