"""The door: who may call, as whom, over which connections; and the record of who did."""
