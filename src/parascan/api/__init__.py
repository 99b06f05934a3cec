"""The calls of users: their options, devices and errors."""
