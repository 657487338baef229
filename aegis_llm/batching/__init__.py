"""Which request is sent when: pure, with the time as an argument; `scheduler` has the drivers."""
