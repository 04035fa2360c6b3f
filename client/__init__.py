"""A running platform as its users reach it: stack outputs, credentials, port-forwards, ready-made clients."""
