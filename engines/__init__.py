"""OCR engines and the documents they read. Knows nothing of gRPC or jails."""
