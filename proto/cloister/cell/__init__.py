"""Messages between server and cell. Imports nothing of gRPC."""
