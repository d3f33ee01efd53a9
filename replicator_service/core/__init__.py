"""The pure part: no sockets, no drivers, no clock, no logging. BSON value types are allowed."""
