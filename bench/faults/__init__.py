"""The fault suite: real service processes, killed, starved and lied to. `make faults`."""
