"""The gRPC server: admits documents, has them read in cells, checks what comes back and answers."""
