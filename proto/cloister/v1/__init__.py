"""The public API: `ocr_pb2`, `ocr_pb2_grpc`."""
