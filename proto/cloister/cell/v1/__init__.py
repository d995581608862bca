"""Messages between server and cell: `cell_pb2`."""
